#!/bin/bash
# Builds dist/pvio: the command with Swift's libraries and liburing inside, for hosts that have neither.
# Needs Scripts/install-packages.sh build. Prints what the result still takes from the host.
set -euo pipefail
cd "$(dirname "$0")/.."

# The package manager asks pkg-config how to link liburing. A description that names the archive makes it link that.
descriptions=$PWD/.build/dist-pkgconfig
mkdir -p "$descriptions" dist
libraries=$(pkg-config --variable=libdir liburing)
[ -e "$libraries/liburing.a" ] || { echo "build-dist: $libraries/liburing.a is missing; install liburing-dev" >&2; exit 1; }
cat >"$descriptions/liburing.pc" <<PC
Name: liburing
Description: liburing, as an archive
Version: $(pkg-config --modversion liburing)
Libs: -L$libraries -l:liburing.a
Cflags: -I$(pkg-config --variable=includedir liburing)
PC

# A folder of its own: the ordinary release build stays as it is.
scratch=.build/dist
swift build -c release --product pvio --static-swift-stdlib --scratch-path "$scratch" --pkg-config-path "$descriptions" "$@"
install -m 0755 "$(swift build -c release --scratch-path "$scratch" --show-bin-path)/pvio" dist/pvio
strip dist/pvio

echo "dist/pvio: $(du -h dist/pvio | cut -f1). It takes from the host:"
ldd dist/pvio
if ldd dist/pvio | grep -qE 'libswift|liburing|lib_Foundation|libFoundation|not found'; then
  echo "build-dist: dist/pvio is not self-contained" >&2
  exit 1
fi
