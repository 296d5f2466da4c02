#!/bin/bash
# Builds and runs the fuzz targets. FUZZ_SECONDS (60) is how long each, FUZZ_NET_SECONDS (15) the network's; the corpora in git are read and
# not changed, what is found new is kept in .build-fuzz/. An input that fails is left in .build-fuzz/ and named; run it again with
# .build-fuzz/fuzz-TARGET FILE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
Fuzzing/build.sh .build-fuzz

# run TARGET SECONDS LONGEST CORPUS [OPTION...]
run() {
  local target=$1 seconds=$2 longest=$3 corpus=$4
  shift 4
  mkdir -p ".build-fuzz/corpus-$target"
  ".build-fuzz/fuzz-$target" -max_total_time="$seconds" -max_len="$longest" -timeout=60 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix=".build-fuzz/$target-" "$@" ".build-fuzz/corpus-$target" "$corpus" 2>&1 | grep -vE '^#[0-9]+[[:space:]]+(NEW|REDUCE)'
}

# Two at a time: each uses one processor. What the second one says comes after the first.
together() {
  local log=.build-fuzz/second.log
  "$2" > "$log" 2>&1 &
  local second=$! code=0
  "$1" || code=$?
  wait "$second" || code=$?
  tail -n 12 "$log"
  return $code
}
store() { run store "${FUZZ_SECONDS:-60}" 16384 Fuzzing/Store/corpus -dict=Fuzzing/Store/store.dict; }
net() { run net "${FUZZ_NET_SECONDS:-15}" 4096 Fuzzing/Net/corpus; }
split() { run split "${FUZZ_SECONDS:-60}" 2048 Fuzzing/Virtqueue/corpus-split; }
packed() { run packed "${FUZZ_SECONDS:-60}" 2048 Fuzzing/Virtqueue/corpus-packed; }
vhostUser() { run vhost-user "${FUZZ_SECONDS:-60}" 4096 Fuzzing/VhostUser/corpus; }
together store vhostUser
together split packed
net
