#!/bin/bash
# Executes docs/adding-a-driver.md: makes the driver that it describes in a package of its own, with the files as they stand there, counts the
# author's lines, runs the generated tests (hostile peers, random input, benchmark), and uses the driver between processes.
# Usage: Tests/Tutorial/run.sh [DIRECTORY]; needs a built pvio (.build/debug). What is built is kept in DIRECTORY (.build/tutorial).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
page=docs/adding-a-driver.md
export NAME=tutorial
export PACKAGE=${1:-$root/.build/tutorial}
export PATH=$root/.build/debug:$PATH

# Sources are written anew; what SwiftPM has built stays.
mkdir -p "$PACKAGE"
find "$PACKAGE" -mindepth 1 -maxdepth 1 ! -name .build -exec rm -rf {} +

# The first block behind <!-- KIND: NAME -->.
block() {
  awk -v mark="<!-- $1: $2 -->" '$0 == mark { found = 1; next } found && /^```/ { if (inside) exit; inside = 1; next } inside' "$page"
}

echo "--- new-driver"
started=$SECONDS
block run new | bash -euo pipefail
echo "the first test passed after $((SECONDS - started)) s"

count=0
for file in Protocols/random/protocol.yaml Sources/Devices/Random/Engine/RandomEngine.swift Sources/Devices/Random/Front/RandomCommand.swift; do
  cp "$PACKAGE/$file" "$PACKAGE/$file.scaffold"
  block file "$file" > "$PACKAGE/$file"
  lines=$(grep -cvE '^[[:space:]]*(//|#|$)' "$PACKAGE/$file")
  changed=$(diff <(grep -vE '^[[:space:]]*(//|$)' "$PACKAGE/$file.scaffold") <(grep -vE '^[[:space:]]*(//|$)' "$PACKAGE/$file") | grep -c '^>' || true)
  rm "$PACKAGE/$file.scaffold"
  echo "$file: $lines lines, $changed of them not as new-driver wrote them"
  count=$((count + lines))
done
echo "author's lines: $count"
[ "$count" -le 40 ] || { echo "more than 40 lines"; exit 1; }
grep -qF "**$count in three files**" "$page" || { echo "$page names another number"; exit 1; }
block file Tests/RandomTests/RandomTests.swift > "$PACKAGE/Tests/RandomTests/RandomTests.swift"

echo "--- generated tests"
log=$PACKAGE/.build/tests.log
block run test | bash -euo pipefail 2>&1 | tee "$log" | grep -E '^(random:|. Test run)|failed|error:' || true
for text in 'Test theBackEndOutlivesAHostileFrontEnd(attack:) with 10 test cases passed' 'Test randomInputUpsetsNothing() passed' \
  'Test twoCallsBringDifferentBytes() passed' 'random: 2000 calls'; do
  grep -qF "$text" "$log" || { echo "the tests did not say: $text"; tail -n 40 "$log"; exit 1; }
done

# The same for the other transports, as new-driver writes them.
for transport in mailbox event-ring byte-stream; do
  echo "--- $transport"
  name=other_${transport%-*}
  pvio new-driver "$name" --package "$PACKAGE" --transport "$transport" > "$log" 2>&1 || { tail -n 40 "$log"; exit 1; }
  PVIO_FUZZ_SECONDS=10 PVIO_BENCHMARK=1 swift test --package-path "$PACKAGE" --skip-build --disable-xctest --filter "Other" > "$log" 2>&1 || { tail -n 40 "$log"; exit 1; }
  for text in 'theBackEndOutlivesAHostileFrontEnd(attack:)' 'Test randomInputUpsetsNothing() passed' "${name/_/-}: "; do
    grep -qF "$text" "$log" || { echo "the tests of $name did not say: $text"; tail -n 40 "$log"; exit 1; }
  done
done

echo "--- between processes"
PVIO_RUN_DIR=$(mktemp -d)
export PVIO_RUN_DIR
output=$PACKAGE/.build/use.log
# As it stands, but each process is given the time to begin, and the daemon ends with this script.
{
  echo 'trap "kill \$(jobs -p) 2>/dev/null; wait" EXIT'
  block run use | sed -E 's/&$/\& sleep 2/'
} | bash -euo pipefail > "$output" 2>&1 || { cat "$output"; exit 1; }
cat "$output"
rm -rf "$PVIO_RUN_DIR"
for text in '100000' '7-random0: random 0 in domain 7' 'served:    7 requests'; do
  grep -qF "$text" "$output" || { echo "the page promises: $text"; exit 1; }
done
echo "tutorial: done"
