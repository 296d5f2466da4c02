#!/bin/bash
# Lets iperf3 run between two interfaces on a switch, SECONDS_EACH (60) seconds each way, and holds every count against the others: what the
# guests' kernels sent and received, what the back-ends and the ports of the switch say, and what was dropped by reason. Fails when a frame
# is not accounted for, or when a receiver's kernel has seen a wrong checksum. As root; PVIO (.build/release/pvio) is what is tested.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pvio=$(realpath "${PVIO:-.build/release/pvio}")
seconds=${SECONDS_EACH:-60}
[ "$(id -u)" = 0 ] || { echo "soak-net: needs root, for network namespaces" >&2; exit 1; }
folder=$(mktemp -d)
export PVIO_RUN_DIR=$folder/run
left=pvio-left-$$ right=pvio-right-$$
processes=()
finish() {
  for process in "${processes[@]}"; do kill "$process" 2>/dev/null || true; done
  wait 2>/dev/null || true
  ip netns delete "$left" 2>/dev/null || true
  ip netns delete "$right" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT
await() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "soak-net: waited in vain: $*" >&2; exit 1; }

"$pvio" daemon >"$folder/daemon.log" 2>&1 &
processes+=($!)
await "$pvio" domain create --domid 7 guest
number=0
for name in "$left" "$right"; do
  ip netns add "$name"
  # Nothing but what the test sends.
  ip netns exec "$name" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
  "$pvio" attach 7 net "switch=soak,id=soak$number" >/dev/null
  "$pvio" export tap 7 "vif$number" --name eth0 --netns "$name" >"$folder/export$number.log" 2>&1 &
  processes+=($!)
  await grep -q ready "$folder/export$number.log"
  number=$((number + 1))
  ip -n "$name" address add "10.99.0.$number/24" dev eth0
done
await ip netns exec "$left" ping -c 1 -W 1 10.99.0.2
ip netns exec "$right" iperf3 -s >"$folder/server.log" 2>&1 &
processes+=($!)
sleep 1
ip netns exec "$left" iperf3 -c 10.99.0.2 -t "$seconds" -J >"$folder/forth.json"
ip netns exec "$left" iperf3 -c 10.99.0.2 -t "$seconds" -J -R >"$folder/back.json"
# Status files are written every half second.
sleep 3
for name in "$left" "$right"; do
  ip -n "$name" -s -j link show dev eth0 >"$folder/$name.json"
  ip netns exec "$name" cat /proc/net/snmp >"$folder/$name.snmp"
done
"$pvio" status --json >"$folder/status.json"
python3 Scripts/soak-net-check.py "$folder" "$left" "$right"
