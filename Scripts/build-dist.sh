#!/bin/bash
# Builds dist/pvio: the command with Swift's libraries and liburing inside, for hosts that have no more than the C library.
# Needs Scripts/install-packages.sh build. Prints what the result still takes from the host.
set -euo pipefail
cd "$(dirname "$0")/.."

# A folder that holds archives only, searched first: -luring finds the archive, not the shared library. The package manager
# takes the folder from a description of liburing for pkg-config.
archives=$PWD/.build/dist-archives
mkdir -p "$archives" dist
link_archive() { # NAME PATH: makes the archive at PATH found before a shared library of the same name
  [ -e "$2" ] || { echo "build-dist: $1 is missing; Scripts/install-packages.sh build installs what is needed" >&2; exit 1; }
  ln -sf "$2" "$archives/$1"
}
link_archive liburing.a "$(pkg-config --variable=libdir liburing)/liburing.a"
# Foundation is part C++. Where the compiler has no such archive the host must have the library.
standard=$(gcc -print-file-name=libstdc++.a)
[ ! -e "$standard" ] || link_archive libstdc++.a "$standard"
cat >"$archives/liburing.pc" <<PC
Name: liburing
Description: liburing, as an archive
Version: $(pkg-config --modversion liburing)
Libs: -L$archives -luring
Cflags: -I$(pkg-config --variable=includedir liburing)
PC

# A folder of its own: the ordinary release build stays as it is.
scratch=.build/dist
swift build -c release --product pvio --static-swift-stdlib --scratch-path "$scratch" --pkg-config-path "$archives" \
  -Xswiftc -Xclang-linker -Xswiftc -static-libgcc "$@"
install -m 0755 "$(swift build -c release --scratch-path "$scratch" --show-bin-path)/pvio" dist/pvio
strip dist/pvio

echo "dist/pvio: $(du -h dist/pvio | cut -f1). It takes from the host:"
ldd dist/pvio
if ldd dist/pvio | grep -qE 'libswift|liburing|Foundation|not found'; then
  echo "build-dist: dist/pvio is not self-contained" >&2
  exit 1
fi
