#!/usr/bin/env bash
# The main job on real input: a disk image served from an isolated back-end process to a front-end process over Xen-format
# rings, looked at with Xen's own tools and used with NBD clients. Then interfaces between network namespaces (demo-net.sh).
# Ends with a table of what was measured; leaves nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

pvio=${PVIO:-.build/release/pvio}
[ -x "$pvio" ] || { echo "demo: $pvio is not built; run 'make demo'" >&2; exit 1; }
pvio=$(realpath "$pvio")
work=$PWD/.demo
export PVIO_RUN_DIR=$work/run
socket() { echo "nbd+unix:///?socket=$PVIO_RUN_DIR/devices/$1/nbd.sock"; }
measured=()
began=$SECONDS

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail() { echo "demo: $*" >&2; exit 1; }
now() { date +%s.%N; }
# record NAME SECONDS BYTES
record() { measured+=("$(awk -v n="$1" -v s="$2" -v b="$3" 'BEGIN { printf "%s|%.2f s|%.0f MB/s", n, s, b / s / 1e6 }')"); }
wait_for_line() { # FILE PATTERN
  for _ in $(seq 300); do grep -q "$2" "$1" 2>/dev/null && return; sleep 0.1; done
  cat "$1" >&2; fail "no line '$2' in $1 after 30 s"
}

started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
rm -rf "$work"; mkdir -p "$work/files"

say "An ext4 image with real files (1 GiB)"
cp -r Sources Protocols docs README.md "$work/files/"
head -c 64M /dev/urandom > "$work/files/random.bin"
truncate -s 1G "$work/disk.img"
mkfs.ext4 -q -F -d "$work/files" "$work/disk.img"
before=$(sha256sum < "$work/disk.img")
echo "$(find "$work/files" -type f | wc -l) files, sha256 ${before%% *}"

say "Three processes: daemon, back-end, front-end"
"$pvio" daemon > "$work/daemon.log" 2>&1 & daemon=$!; started+=($daemon)
wait_for_line "$work/daemon.log" "daemon ready"
"$pvio" domain create --domid 7 guest > /dev/null
"$pvio" attach 7 disk "file=$work/disk.img,id=disk0"
"$pvio" export nbd 7 xvda > "$work/export0.log" 2>&1 & front=$!; started+=($front)
wait_for_line "$work/export0.log" "export ready"
"$pvio" list
back=$("$pvio" list --json | jq '.devices[0].backend_pid')
[ "$daemon" != "$front" ] && [ "$front" != "$back" ] && [ "$back" != "$daemon" ] || fail "the three are not three processes"

say "The store, seen with Xen's own xenstore-ls"
XENSTORED_PATH=$PVIO_RUN_DIR/xenstored/socket xenstore-ls /local/domain > "$work/store.txt"
cat "$work/store.txt"
[ "$(grep -c 'state = "4"' "$work/store.txt")" = 2 ] || fail "the two ends are not both in state 4 (Connected)"

say "Memory of the back-end that others can see: its own peer's arenas only"
pmap "$back" | grep -E "memfd|arena" || true

say "The device copied out with nbdcopy, and back to a second disk"
start=$(now); nbdcopy "$(socket disk0)" "$work/out.img"
record "nbdcopy out, 1 GiB" "$(awk "BEGIN { print $(now) - $start }")" 1073741824
[ "$(sha256sum < "$work/out.img")" = "$before" ] || fail "the copy differs from the image"
truncate -s 1G "$work/back.img"
"$pvio" attach 7 disk "file=$work/back.img,id=disk1"
"$pvio" export nbd 7 disk1 > "$work/export1.log" 2>&1 & started+=($!)
wait_for_line "$work/export1.log" "export ready"
start=$(now); nbdcopy --flush "$work/out.img" "$(socket disk1)"
record "nbdcopy in, 1 GiB" "$(awk "BEGIN { print $(now) - $start }")" 1073741824
[ "$(sha256sum < "$work/back.img")" = "$before" ] || fail "what came back differs from the image"
echo "sha256 is the same on all three: ${before%% *}"
e2fsck -fn "$work/back.img"
"$pvio" detach 7 disk1

say "fio with verification (4 queues, depth 64), and a disk attached and detached meanwhile"
"$pvio" attach 7 disk "ram=256M,id=scratch"
"$pvio" export nbd 7 scratch > "$work/export2.log" 2>&1 & started+=($!)
wait_for_line "$work/export2.log" "export ready"
fio --name=verify --ioengine=nbd --uri="$(socket scratch)" --rw=randwrite --bs=4k-64k --iodepth=64 --size=256M --loops=12 \
  --verify=crc32c --verify_fatal=1 --do_verify=1 --verify_state_save=0 --output-format=json --output="$work/fio.json" & load=$!; started+=($load)
sleep 0.2
rounds=0 attempts=0
while kill -0 $load 2>/dev/null && [ $rounds -lt 5 ]; do
  "$pvio" attach 7 disk "ram=64M,id=second"
  # A log of its own each time: the ready line of the round before must not be taken for this one's.
  log=$work/second-$((attempts += 1)).log
  "$pvio" export nbd 7 second > "$log" 2>&1 & third=$!; started+=($third)
  wait_for_line "$log" "export ready"
  nbdinfo --size "$(socket second)" | grep -qx 67108864 || fail "the second disk has a wrong size"
  "$pvio" detach 7 second
  wait $third
  # Only what happened while fio was still running counts.
  if kill -0 $load 2>/dev/null; then rounds=$((rounds + 1)); fi
done
[ $rounds -gt 0 ] || fail "fio ended before a disk could be attached and detached"
echo "attached, used and detached $rounds times under load"
wait $load || fail "fio found wrong data"
measured+=("$(jq -r '.jobs[0] | "fio randwrite 4-64k, depth 64|\(.write.runtime / 1000) s|\(.write.bw_bytes / 1e6 | floor) MB/s, \(.write.iops | floor) IOPS"' "$work/fio.json")")
# fio counts the verifying reads of all loops.
measured+=("$(jq -r '.jobs[0] | "fio verify, depth 64|\(.read.runtime / 1000) s|\(.read.bw_bytes / 1e6 | floor) MB/s, \(.read.iops | floor) IOPS"' "$work/fio.json")")
"$pvio" status

say "The first disk is as it was, and everything is taken down"
e2fsck -fn "$work/disk.img" > "$work/fsck.txt" 2>&1 || { cat "$work/fsck.txt" >&2; fail "the file system is damaged"; }
[ "$(sha256sum < "$work/disk.img")" = "$before" ] || fail "the first disk changed"
"$pvio" detach 7 scratch
"$pvio" detach 7 disk0
"$pvio" domain destroy 7
kill $daemon; wait $daemon
left=$(find "$PVIO_RUN_DIR" -not -type d | wc -l)
[ "$left" = 0 ] || { find "$PVIO_RUN_DIR" >&2; fail "$left files were left in the run directory"; }

PVIO=$pvio Scripts/demo-net.sh "$work/net" > >(tee "$work/net.txt") || fail "the network half failed"
while IFS= read -r line; do measured+=("$line"); done < <(sed -n 's/^measured: //p' "$work/net.txt")

say "Measured on this machine (one run, a demonstration and no benchmark)"
printf '%s\n' "${measured[@]}" | column -t -s '|'
echo "demo: everything above held, in $((SECONDS - began)) s"
