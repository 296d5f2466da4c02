#!/bin/bash
# Builds and runs the store's fuzz target. FUZZ_SECONDS (60) is how long; the corpus in git is read and not changed, what is found new
# is kept in .build-fuzz/corpus. An input that fails is left in .build-fuzz/ and named; run it again with .build-fuzz/fuzz-store FILE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
Fuzzing/build.sh .build-fuzz
mkdir -p .build-fuzz/corpus
.build-fuzz/fuzz-store -max_total_time="${FUZZ_SECONDS:-60}" -max_len=16384 -timeout=60 -rss_limit_mb=1024 -print_final_stats=1 \
  -dict=Fuzzing/store.dict -artifact_prefix=.build-fuzz/ .build-fuzz/corpus Fuzzing/corpus 2>&1 | grep -vE '^#[0-9]+[[:space:]]+(NEW|REDUCE)' 
