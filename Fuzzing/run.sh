#!/bin/bash
# Builds and runs the fuzz targets. FUZZ_SECONDS (60) is how long each; the corpus in git is read and not changed, what is found new is kept
# in .build-fuzz/corpus*. An input that fails is left in .build-fuzz/ and named; run it again with .build-fuzz/fuzz-TARGET FILE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
Fuzzing/build.sh .build-fuzz
mkdir -p .build-fuzz/corpus .build-fuzz/corpus-split .build-fuzz/corpus-packed
common=(-max_total_time="${FUZZ_SECONDS:-60}" -timeout=60 -rss_limit_mb=1024 -print_final_stats=1)
quiet() { grep -vE '^#[0-9]+[[:space:]]+(NEW|REDUCE)'; }
.build-fuzz/fuzz-store "${common[@]}" -max_len=16384 -dict=Fuzzing/store.dict -artifact_prefix=.build-fuzz/store- \
  .build-fuzz/corpus Fuzzing/corpus/requests Fuzzing/corpus/migration 2>&1 | quiet
# Both formats at a time: each uses one processor.
.build-fuzz/fuzz-split "${common[@]}" -max_len=2048 -artifact_prefix=.build-fuzz/split- .build-fuzz/corpus-split Fuzzing/corpus/split \
  > .build-fuzz/split.log 2>&1 &
split=$!
.build-fuzz/fuzz-packed "${common[@]}" -max_len=2048 -artifact_prefix=.build-fuzz/packed- .build-fuzz/corpus-packed Fuzzing/corpus/packed 2>&1 | quiet
if ! wait "$split"; then
  quiet < .build-fuzz/split.log
  exit 1
fi
tail -n 7 .build-fuzz/split.log
