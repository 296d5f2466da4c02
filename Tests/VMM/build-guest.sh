#!/bin/bash
# Makes a guest to boot: Debian's kernel and busybox, downloaded and unpacked (nothing is installed), and an image with the tools that
# the tests run in it. Into .build/vmm/, once; delete that folder to have it made again.
#
#   vmlinux       the kernel, decompressed, because a processor in software takes many seconds to do that
#   initrd        busybox, the modules that the guest needs, and guest/init
#   busybox       the same busybox, to make archives with
#   tools.img     a file system with fio, mke2fs and e2fsck and their libraries: served to the guest as a read-only disk
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out="$here/../../.build/vmm"
mkdir -p "$out"
out=$(cd "$out" && pwd)
work="$out/work"

modules=(virtio_pci virtio_blk virtio_net ext4 crc32c_generic)
tools=(/usr/bin/fio /usr/sbin/mke2fs /usr/sbin/e2fsck)

# What the guest is made of: made again when that changes.
recipe=$(cat "$here/build-guest.sh" "$here/guest/init" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/recipe" 2>/dev/null)" = "$recipe" ]; then exit 0; fi

rm -rf "$work" "$out/recipe"
mkdir -p "$work"/{packages,kernel,busybox,root,tools}

kernel_package=$(apt-cache depends linux-image-amd64 | sed -nE 's/.*Depends: (linux-image-[^ ]+)/\1/p' | head -n 1 || true)
[ -n "$kernel_package" ] || { echo "no kernel for the guest: apt knows no linux-image-amd64 (apt-get update?)" >&2; exit 1; }
(cd "$work/packages" && apt-get -qq -o APT::Sandbox::User=root download busybox-static "$kernel_package")
dpkg-deb -x "$work"/packages/busybox-static_*.deb "$work/busybox"
dpkg-deb -x "$work"/packages/linux-image-*.deb "$work/kernel"
busybox="$work/busybox/bin/busybox"
version=$(basename "$work"/kernel/lib/modules/*)

# The compressed kernel lies in the boot image at an offset and with a length that its header tells (Documentation/x86/boot.rst).
python3 - "$work/kernel/boot/vmlinuz-$version" "$out/vmlinux" <<'PYTHON'
import lzma, struct, sys
image = open(sys.argv[1], "rb").read()
setup = (image[0x1F1] or 4) + 1
offset, length = struct.unpack_from("<II", image, 0x248)
payload = image[setup * 512 + offset:setup * 512 + offset + length]
if not payload.startswith(b"\xfd7zXZ\0"):
    sys.exit("the guest's kernel is not compressed with xz: build-guest.sh does not know how to unpack it")
open(sys.argv[2], "wb").write(lzma.LZMADecompressor().decompress(payload))
PYTHON

# The first file system, in memory.
mkdir -p "$work"/root/{bin,dev,etc,lib/modules,mnt,proc,sys,tmp,tools}
cp "$busybox" "$work/root/bin/busybox"
"$busybox" --list | while read -r applet; do [ "$applet" = busybox ] || ln -s busybox "$work/root/bin/$applet"; done
"$busybox" depmod -b "$work/kernel" "$version" 2>/dev/null
dependencies="$work/kernel/lib/modules/$version/modules.dep"
mkdir -p "$work/root/lib/modules/$version"
for module in "${modules[@]}"; do
  line=$(grep -E "(^|/)${module//_/[-_]}\.ko:" "$dependencies" | head -n 1 || true)
  [ -n "$line" ] || { echo "the guest's kernel has no module $module" >&2; exit 1; }
  for file in ${line/:/ }; do
    mkdir -p "$work/root/lib/modules/$version/$(dirname "$file")"
    cp "$work/kernel/lib/modules/$version/$file" "$work/root/lib/modules/$version/$file"
  done
done
"$busybox" depmod -b "$work/root" "$version"
cp "$here/guest/init" "$work/root/init"
chmod 755 "$work/root/init"
(cd "$work/root" && find . -print | sort | "$busybox" cpio -o -H newc 2>/dev/null) >"$out/initrd"

# The tools, with the libraries that they are linked with.
for tool in "${tools[@]}"; do
  [ -x "$tool" ] || { echo "$tool is not here: install fio and e2fsprogs" >&2; exit 1; }
  mkdir -p "$work/tools/bin"
  cp -L "$tool" "$work/tools/bin/"
  ldd "$tool" | sed -nE 's/^[^/]*(\/[^ ]+) \(0x.*/\1/p' | while read -r library; do
    mkdir -p "$work/tools/lib"
    cp -Ln "$library" "$work/tools/lib/"
  done
done
cp /etc/mke2fs.conf "$work/tools/"
rm -f "$out/tools.img"
truncate -s $(($(du -sk "$work/tools" | cut -f1) * 1280 + (4 << 20)))  "$out/tools.img"
mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$work/tools" "$out/tools.img"

cp "$busybox" "$out/busybox"
rm -rf "$work"
echo "$recipe" >"$out/recipe"
echo "guest: kernel $version, initrd $(du -h "$out/initrd" | cut -f1), tools $(du -h "$out/tools.img" | cut -f1)"
