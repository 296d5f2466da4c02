#!/bin/bash
# Builds the fuzz targets with libFuzzer: the modules they look into, instrumented, apart from the normal build.
# Usage: Fuzzing/build.sh DIRECTORY; the programs are DIRECTORY/fuzz-store, fuzz-net, fuzz-split, fuzz-packed and fuzz-vhost-user.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1
mkdir -p "$out/net"

flags=(-swift-version 6 -O -g -wmo -parse-as-library -sanitize=fuzzer -strict-memory-safety -package-name pvio
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
  -enable-upcoming-feature MemberImportVisibility)

# The store: modules without dependencies, compiled one by one.
objects=()
changed=
compile() {
  local module=$1 folder=$2
  local sources
  # What has not changed since is there already, unless a module before it has: layouts go from one into the other.
  if [ -z "$changed" ] && [ -e "$out/$module.o" ] && [ -z "$(find "$folder" Fuzzing/build.sh -newer "$out/$module.o" -print -quit)" ]; then
    objects+=("$out/$module.o")
    return
  fi
  changed=yes
  mapfile -t sources < <(find "$folder" -name '*.swift' | sort)
  swiftc "${flags[@]}" -I "$out" -module-name "$module" -emit-module -emit-module-path "$out/$module.swiftmodule" \
    -c -o "$out/$module.o" "${sources[@]}"
  objects+=("$out/$module.o")
}
# Of shared memory the store uses nothing but a cell, which needs no system.
compile SharedMemory Sources/SharedMemory/FixedTable.swift
for module in XenInterface XenStoreWire XenStoreMigration XenStoreCore; do compile "$module" "Sources/$module"; done
compile FuzzStore Fuzzing/Store
swiftc -sanitize=fuzzer "${objects[@]}" -o "$out/fuzz-store"

# Virtqueues and vhost-user: what they stand on are modules that use packages, so SwiftPM builds them.
swift build -c release --target VhostUser --scratch-path "$out/package" -Xswiftc -sanitize=fuzzer
built=$out/package/release
queue=()
for module in XenInterface VirtioInterface CLinuxShims LinuxSystem SharedMemory VirtioRing CSystem SystemPackage; do
  while IFS= read -r object; do queue+=("$object"); done < <(find "$built/$module.build" -name '*.o')
done
for format in split packed; do
  define=()
  if [ "$format" = packed ]; then define=(-D PACKED); fi
  swiftc "${flags[@]}" ${define[@]+"${define[@]}"} -I "$built/Modules" -Xcc -fmodule-map-file="$built/CLinuxShims.build/module.modulemap" \
    -I "$out/package/checkouts/swift-system/Sources/CSystem/include" -module-name FuzzVirtqueue Fuzzing/Virtqueue/VirtqueueTarget.swift \
    "${queue[@]}" -o "$out/fuzz-$format"
done
session=("${queue[@]}")
for module in SharedRing XenPlatform Uring EventLoop VhostUser Logging; do
  while IFS= read -r object; do session+=("$object"); done < <(find "$built/$module.build" -name '*.o')
done
swiftc "${flags[@]}" -I "$built/Modules" -Xcc -fmodule-map-file="$built/CLinuxShims.build/module.modulemap" \
  -I Sources/CLiburing -I "$out/package/checkouts/swift-system/Sources/CSystem/include" -module-name FuzzVhostUser \
  Fuzzing/VhostUser/VhostUserTarget.swift "${session[@]}" -luring -o "$out/fuzz-vhost-user"

(
  # The network's slots and headers: two modules instrumented, without the files that talk to a store or a ring; what they stand on is as
  # SwiftPM has built it.
  modules=.build/debug
  [ -e "$modules/Modules/SharedMemory.swiftmodule" ] || swift build --target NetInterface
  swiftc() {
    command swiftc -I "$out/net" -I "$modules/Modules" -Xcc -fmodule-map-file="$modules/CLinuxShims.build/module.modulemap" \
      -Xcc -ISources/CLinuxShims/include -Xcc -fmodule-map-file=.build/checkouts/swift-system/Sources/CSystem/include/module.modulemap "$@"
  }
  compileNet() {
    local module=$1
    shift
    swiftc "${flags[@]/"$out"/"$out/net"}" -module-name "$module" -emit-module -emit-module-path "$out/net/$module.swiftmodule" \
      -c -o "$out/net/$module.o" "$@"
  }
  compileNet NetPackets Sources/Devices/Net/Packets/*.swift
  compileNet NetInterface Sources/Devices/Net/Interface/{ExtraInfos,FrameHash,NetLimits,ReceiveAssembler,TransmitAssembler,TransmitFault}.swift
  compileNet FuzzNet Fuzzing/Net/*.swift
  swiftc -sanitize=fuzzer "$out"/net/{NetPackets,NetInterface,FuzzNet}.o \
    "$modules"/{XenInterface,SharedMemory,LinuxSystem,SystemPackage,CSystem,CLinuxShims}.build/*.o -o "$out/fuzz-net"
)
