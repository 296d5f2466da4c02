#!/usr/bin/env bash
# The network half of the main job: two guests in network namespaces of their own, joined by two vifs and the built-in switch; a third
# one in another VLAN; and one with a TAP interface of a host. Real programs: ping, an HTTP download, iperf3. Leaves nothing.
# Usage: demo-net.sh DIRECTORY. Prints lines "measured: NAME|TIME|RATE" for the table of demo.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

pvio=${PVIO:-$PWD/.build/release/pvio}
work=$1
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail() { echo "demo: $*" >&2; exit 1; }

if [ "$(id -u)" != 0 ] || [ ! -e /dev/net/tun ]; then
  say "Network: skipped, because TAP interfaces and network namespaces take root and /dev/net/tun"
  exit 0
fi

mkdir -p "$work/www"
export PVIO_RUN_DIR=$work/run
left=pvio-left-$$ right=pvio-right-$$ other=pvio-other-$$ host=pvio-host-$$
namespaces=("$left" "$right" "$other" "$host")
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  for name in "${namespaces[@]}"; do ip netns delete "$name" 2>/dev/null || true; done
}
trap finish EXIT
wait_for_line() { # FILE PATTERN
  for _ in $(seq 300); do grep -q "$2" "$1" 2>/dev/null && return; sleep 0.1; done
  cat "$1" >&2; fail "no line '$2' in $1 after 30 s"
}
in_ns() { ip netns exec "$@"; }
export_tap() { # DEVICE NAMESPACE LOG
  "$pvio" export tap 7 "$1" --name eth0 --netns "$2" > "$3" 2>&1 & started+=($!)
  wait_for_line "$3" "export ready"
}
gigabits() { jq -r '.end.sum_received.bits_per_second / 1e9 * 100 | floor / 100' "$1"; }

say "Network: four namespaces, a daemon, a switch with three guests, a TAP interface of a host with a fourth one"
for name in "${namespaces[@]}"; do ip netns add "$name"; done
"$pvio" daemon > "$work/daemon.log" 2>&1 & daemon=$!; started+=($daemon)
wait_for_line "$work/daemon.log" "daemon ready"
"$pvio" domain create --domid 7 guest > /dev/null
"$pvio" attach 7 net switch=lan,id=left; export_tap vif0 "$left" "$work/left.log"
"$pvio" attach 7 net switch=lan,id=right; export_tap vif1 "$right" "$work/right.log"
"$pvio" attach 7 net switch=lan,vlan=10,id=other; export_tap vif2 "$other" "$work/other.log"
number=0
for name in "$left" "$right" "$other"; do number=$((number + 1)); ip -n "$name" address add "10.77.0.$number/24" dev eth0; done
"$pvio" list
XENSTORED_PATH=$PVIO_RUN_DIR/xenstored/socket xenstore-ls /local/domain/7/device/vif

say "ping from left to right; nothing from another VLAN"
in_ns "$left" ping -n -c 3 -i 0.2 10.77.0.2
if in_ns "$left" ping -n -c 2 -i 0.2 -W 1 10.77.0.3 > /dev/null; then fail "a frame went from one VLAN to another"; fi
echo "10.77.0.3, in VLAN 10, does not answer: the VLANs are separate"

say "An HTTP download through the switch, compared by its sum"
head -c 256M /dev/urandom > "$work/www/file.bin"
wanted=$(sha256sum < "$work/www/file.bin")
ip netns exec "$left" python3 -m http.server 8000 --bind 10.77.0.1 --directory "$work/www" > "$work/http.log" 2>&1 & started+=($!)
began=$(date +%s.%N)
got=$(in_ns "$right" python3 -c '
import hashlib, time, urllib.request
for attempt in range(100):
  try: answer = urllib.request.urlopen("http://10.77.0.1:8000/file.bin"); break
  except OSError: time.sleep(0.1)
digest = hashlib.sha256()
while block := answer.read(1 << 20): digest.update(block)
print(digest.hexdigest() + "  -")')
[ "$got" = "$wanted" ] || fail "the download differs from the file"
echo "sha256 is the same: ${wanted%% *}"
awk -v b="$began" -v e="$(date +%s.%N)" 'BEGIN { printf "measured: HTTP download with sha256, 256 MiB|%.2f s|%.0f MB/s\n", e - b, 268.435456 / (e - b) }'

say "iperf3 over TCP, both ways"
ip netns exec "$left" iperf3 -s > "$work/iperf.log" 2>&1 & started+=($!)
sleep 0.5
in_ns "$right" iperf3 -c 10.77.0.1 -t 3 -J > "$work/up.json"
in_ns "$right" iperf3 -c 10.77.0.1 -t 3 -R -J > "$work/down.json"
echo "measured: iperf3 TCP, guest to guest by the switch|3 s|$(gigabits "$work/up.json") Gb/s"
echo "measured: iperf3 TCP, the other way|3 s|$(gigabits "$work/down.json") Gb/s"

say "A guest on the host's TAP interface, unplugged and plugged again under traffic"
"$pvio" attach 7 net "tap=tap0,netns=$host,id=wired"; export_tap vif3 "$host" "$work/wired.log"
"$pvio" detach 7 vif3
ip -n "$host" tuntap add tap0 mode tap; ip -n "$host" address add 10.78.0.1/24 dev tap0; ip -n "$host" link set tap0 up
ip netns exec "$host" ping -n -i 0.02 10.78.0.2 > "$work/ping.log" 2>&1 & started+=($!)
for round in 1 2 3; do
  "$pvio" attach 7 net "tap=tap0,netns=$host,id=wired"
  "$pvio" export tap 7 vif3 --name eth0 --netns "$other-$round" > /dev/null 2>&1 && fail "an export into a namespace that does not exist"
  ip netns add "$other-$round"; namespaces+=("$other-$round")
  export_tap vif3 "$other-$round" "$work/wired-$round.log"
  ip -n "$other-$round" address add 10.78.0.2/24 dev eth0
  before=$(grep -c "bytes from" "$work/ping.log" || true)
  for _ in $(seq 100); do [ "$(grep -c "bytes from" "$work/ping.log" || true)" -gt "$before" ] && break; sleep 0.05; done
  [ "$(grep -c "bytes from" "$work/ping.log" || true)" -gt "$before" ] || fail "no traffic after plugging in for the $round. time"
  "$pvio" detach 7 vif3
done
echo "plugged in and out 3 times; the pings went on each time"

say "Every frame is accounted for, and everything is taken down"
"$pvio" status
for device in vif0 vif1 vif2; do "$pvio" detach 7 "$device"; done
"$pvio" domain destroy 7
kill $daemon; wait $daemon
for _ in $(seq 100); do [ -z "$(find "$PVIO_RUN_DIR" -name '*.pid')" ] && break; sleep 0.1; done
left_over=$(find "$PVIO_RUN_DIR" -not -type d -not -name '*.log')
[ -z "$left_over" ] || { echo "$left_over" >&2; fail "files were left in the run directory"; }
