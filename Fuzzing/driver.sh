#!/bin/bash
# Searches for input that upsets a driver's back-end, with libFuzzer: the driver and what it stands on, instrumented, apart from the normal build.
# Usage: Fuzzing/driver.sh NAME [SECONDS], as in Fuzzing/driver.sh Entropy 10. The first build takes minutes; what it made is kept in .build-fuzz/driver.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=$1
seconds=${2:-10}
scratch=.build-fuzz/driver

swift build --target "${name}Driver" --scratch-path "$scratch" -Xswiftc -sanitize=fuzzer
swift build --target DriverTestSupport --scratch-path "$scratch" -Xswiftc -sanitize=fuzzer
built=$scratch/debug
objects=()
while IFS= read -r object; do objects+=("$object"); done < <(find "$built"/*.build -name '*.o' ! -path '*pvio.build*' ! -path '*pvgen.build*' ! -path '*Tests.build*')
swiftc -swift-version 6 -parse-as-library -sanitize=fuzzer -strict-memory-safety -I "$built/Modules" \
  -Xcc -fmodule-map-file="$built/CLinuxShims.build/module.modulemap" -Xcc -fmodule-map-file=Sources/CLiburing/module.modulemap \
  -Xcc -I"$scratch/checkouts/swift-system/Sources/CSystem/include" \
  -module-name "Fuzz$name" "Fuzzing/Drivers/${name}Target.swift" "${objects[@]}" -luring -o "$scratch/fuzz-$name"
mkdir -p "$scratch/corpus-$name"
"$scratch/fuzz-$name" -max_total_time="$seconds" -max_len=2048 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
  -artifact_prefix="$scratch/$name-" "$scratch/corpus-$name" 2>&1 | grep -vE '^#[0-9]+[[:space:]]+(NEW|REDUCE)'
