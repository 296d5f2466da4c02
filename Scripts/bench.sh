#!/bin/sh
# Measures what docs/performance.md says, and prints its table in Markdown. Options go to every benchmark (--anyway, --rounds 9).
# RUN_WITH="chrt -f 1" (as root) measures on a machine that has other work: what is measured then goes before it.
set -eu
cd "$(dirname "$0")/.."
pvio=.build/release/pvio
[ -x "$pvio" ] || { echo "bench.sh: no $pvio: run 'swift build -c release --product pvio' first" >&2; exit 1; }

results=$(mktemp)
trap 'rm -f "$results"' EXIT
bench() {
  echo "bench $*" >&2
  ${RUN_WITH:-} "$pvio" bench "$@" --json >>"$results"
}
bench ring --peer xen-ring "$@"
bench grant "$@"
bench block --peer qemu-storage-daemon --peer fio "$@"
bench connect --peer qemu-storage-daemon "$@"
bench net --peer testpmd "$@"
bench net --peer veth --only tap-tcp "$@"
bench store --peer cxenstored --peer oxenstored "$@"
bench store --durable-in /var/tmp --peer cxenstored --only write-1 --only write-4 --only write-16 --only txn-16 "$@"
bench vchan --peer unix-socket "$@"
bench allocations --rounds 1

jq -rs '
  def figure: if . == null then "–" elif . >= 100 or . == 0 then (round | tostring) else (. * 10 | round / 10 | tostring) end;
  def large: if . == null then "–" elif . >= 1e6 then "\(. / 1e4 | round / 100) M" elif . >= 1e4 then "\(. / 100 | round / 10) k" else figure end;
  (.[0].machine | "\(.processor), \(.processors) processors, \(.memory_mib) MiB, Linux \(.kernel); load before the start \(.load)\n"),
  "| benchmark | case | unit | pvio: median (min – max) | peer: median (min – max) | ratio |",
  "|---|---|---|---|---|---|",
  (.[] | .benchmark as $b | .rows[] |
    "| \($b) | \(.case) | \(.unit) | \(.ours.median | large) (\(.ours.min | large) – \(.ours.max | large)) | " +
    (if .peer then "\(.peer.median | large) (\(.peer.min | large) – \(.peer.max | large)) \(.peer.name)" else "–" end) +
    " | \(if .ratio then (.ratio * 100 | round / 100) else "–" end) |")
' "$results"
