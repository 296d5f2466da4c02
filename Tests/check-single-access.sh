#!/bin/sh
# Checks in the compiler's output that taking a request from a ring loads each of its 14 words exactly once, however the
# copy is used: an optimiser that folds a load into its uses would read what the peer has changed meanwhile.
# Usage: check-single-access.sh [BUILD-DIRECTORY]     after `swift build`; x86-64 only. Exit 0 when it holds.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/.build/debug}
[ "$(uname -m)" = x86_64 ] || { echo "check-single-access: only for x86-64, skipped"; exit 0; }
[ -e "$build/Modules/SharedRing.swiftmodule" ] || { echo "check-single-access: $build has no modules: run swift build first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Uses of a copied request that tempt an optimiser: words checked, then used again, and a segment count that bounds a loop.
uses='
  guard request.segmentCount <= 11, request.operation < 7 else { return 1 }
  var sum = request.sectorNumber &+ request.identifier
  for index in 0..<Int(request.segmentCount) { sum = sum &* 3 &+ UInt64(request.segment(at: index).grantReference.rawValue) }
  return sum &+ UInt64(request.segmentCount) &* UInt64(request.operation)
}'
cat >"$work/ring.swift" <<SWIFT
import SharedMemory
import SharedRing
import XenInterface
public func take(_ ring: inout BackRing<BlkifRequest, BlkifResponse>) throws(RingFault) -> UInt64 {
  guard let request = try ring.takeRequest() else { return 0 }
$uses
SWIFT
# The same with an ordinary load: must be found out, else this check shows nothing.
cat >"$work/ordinary.swift" <<SWIFT
import XenInterface
public func take(_ base: UnsafeRawPointer, _ offset: Int) -> UInt64 {
  let request = base.load(fromByteOffset: offset, as: BlkifRequest.self)
$uses
SWIFT

# Loads of the slot: base and index register without a scale, into a general register, by displacement.
loads() {
  swiftc -O -parse-as-library -module-name Probe -I "$build/Modules" -I "$root/Sources/CLinuxShims/include" \
    -I "$root/.build/checkouts/swift-system/Sources/CSystem/include" \
    -Xcc "-fmodule-map-file=$build/CLinuxShims.build/module.modulemap" -emit-assembly "$1" -o "$work/probe.s"
  sed -n 's/^[[:space:]]*\(mov\|add\|cmp\|sub\|and\|imul\)[a-z]*[[:space:]]\{1,\}\([0-9]*\)(%r[a-z0-9]*,%r[a-z0-9]*),[[:space:]]*%[a-z0-9]*.*/\1 \2/p' "$work/probe.s"
}

found=$(loads "$work/ring.swift")
count=$(printf '%s\n' "$found" | grep -c '^mov' || true)
others=$(printf '%s\n' "$found" | grep -c -v '^mov' || true)
echo "ring: $count loads of the entry's 14 words, $others folded into arithmetic"
if [ "$count" != 14 ] || [ "$others" != 0 ]; then
  printf '%s\n' "$found" >&2
  echo "check-single-access: taking a request must load each word once" >&2
  exit 1
fi
control=$(loads "$work/ordinary.swift" | grep -c '^mov' || true)
echo "ordinary load, for comparison: $control"
if [ "$control" = 14 ]; then
  echo "check-single-access: an ordinary load looks the same: the check shows nothing" >&2
  exit 1
fi
