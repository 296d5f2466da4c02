#!/bin/sh
# What the cases share; runs in domain 0, after lab/lib.sh.
fail() { echo "not ok - $*"; echo "--- pvio:"; tail -n 20 /tmp/pvio*.log; [ ! -e /tmp/peer.log ] || tail -n 20 /tmp/peer.log; echo "--- the guest's kernel:"; [ -z "$DOMU" ] || tail -n 15 $(domu_log); exit 1; }

# ok WHAT CMD... : runs a command that has to succeed.
ok() {
  local what=$1; shift
  if "$@" >/tmp/ok.out 2>&1; then echo "ok - $what"; else cat /tmp/ok.out; fail "$what"; fi
}

# same WHAT EXPECTED FOUND
same() { if [ "$2" = "$3" ]; then echo "ok - $1"; else fail "$1: expected '$2', found '$3'"; fi; }

# start_backend NAME ARGS... : a back-end in the background; sets NAME_PID and waits for its ready line.
start_backend() {
  local name=$1; shift
  pvio backend "$@" >/tmp/pvio-$name.log 2>&1 &
  eval ${name}_PID=$!
  wait_for 120 grep -q "ready" /tmp/pvio-$name.log || fail "the back-end $name did not come up"
}

# disk_image FILE MEGABYTES : a block device over a file of random bytes in memory; prints its path.
disk_image() {
  dd if=/dev/urandom of=$1 bs=1M count=$2 2>/tmp/dd.log || fail "no room for an image of $2 MiB: $(cat /tmp/dd.log)" >&2
  local device; device=$(losetup -f); losetup $device $1; echo $device
}

# clean_log : the guest's front-ends had nothing to complain of.
clean_log() {
  domu_run 'dmesg | grep -E "wrong operation|not unmapped|broken|disabled for further|I/O error|unable to|still in use|Oops|BUG:"' >/tmp/complaints
  [ ! -s /tmp/complaints ]
}
