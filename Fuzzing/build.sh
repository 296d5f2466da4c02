#!/bin/bash
# Builds the store's fuzz target with libFuzzer: the modules it consists of, instrumented, without SwiftPM, so that the normal build
# is left alone. Usage: Fuzzing/build.sh DIRECTORY; the program is DIRECTORY/fuzz-store.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1
mkdir -p "$out"

flags=(-swift-version 6 -O -g -wmo -parse-as-library -sanitize=fuzzer -strict-memory-safety -package-name pvio -I "$out"
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
  -enable-upcoming-feature MemberImportVisibility)
objects=()
compile() {
  local module=$1 folder=$2
  local sources
  # What has not changed since is there already.
  if [ -e "$out/$module.o" ] && [ -z "$(find "$folder" Fuzzing/build.sh -newer "$out/$module.o" -print -quit)" ]; then
    objects+=("$out/$module.o")
    return
  fi
  mapfile -t sources < <(find "$folder" -name '*.swift' | sort)
  swiftc "${flags[@]}" -module-name "$module" -emit-module -emit-module-path "$out/$module.swiftmodule" \
    -c -o "$out/$module.o" "${sources[@]}"
  objects+=("$out/$module.o")
}
for module in XenInterface XenStoreWire XenStoreMigration XenStoreCore; do compile "$module" "Sources/$module"; done
compile FuzzStore Fuzzing
swiftc -sanitize=fuzzer "${objects[@]}" -o "$out/fuzz-store"
