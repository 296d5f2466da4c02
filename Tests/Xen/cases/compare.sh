#!/bin/sh
# The same image to the same guest through Linux's xen-blkback and through pvio: a ratio. The processor is software, so no more than that.
. /xenlab/cases/common.sh
load_mod loop; load_mod xen-blkback
device=$(disk_image /disk.img 128)
numbers=$(stat -L -c '%t:%T' $device)
start_backend fleet block --platform xen --all --type pvio-vbd
speed() { # ARGS of dd: seconds that it takes, past the guest's cache
  domu_run -t 300 "/usr/bin/dd $1 2>&1" | sed -n 's/.* copied, \([0-9.e-]*\) s,.*/\1/p'
}
median() { for n in "$@"; do echo $n; done | sort -g | sed -n 3p; }
compare() { # WHAT ARGS of dd, with DISK for the disk
  theirs= ours=
  for round in 1 2 3 4 5; do
    theirs="$theirs $(speed "$(echo "$2" | sed s/DISK/xvda/)")"; ours="$ours $(speed "$(echo "$2" | sed s/DISK/xvdb/)")"
  done
  set -- "$1" "$(median $theirs)" "$(median $ours)"
  [ -n "$2" ] && [ -n "$3" ] || fail "$1 was not measured: $theirs - $ours"
  echo "$1, $grants: blkback $2 s, pvio $3 s, ratio $(echo "$2 $3" | awk '{printf "%.2f", $1 / $2}')"
}
# Grants that stay mapped, and grants that are mapped for each request: in one, as blkback does.
for persistent in 1 0; do
  grants="persistent grants"; [ $persistent = 1 ] || grants="grants of the moment"
  DOMU_CMDLINE="xen_blkfront.max_ring_page_order=2 xen_blkfront.feature_persistent=$persistent" start_domu u$persistent 256 || exit 1
  attach_vbd vbd 51712 params=$device physical-device=$numbers type=phy hotplug-status=connected
  wait_state $BE 4 120 || fail "blkback does not connect: $(xenstore-ls $BE)"
  attach_vbd pvio-vbd 51728 params=$device
  wait_state $BE 4 120 || fail "pvio does not connect: $(xenstore-ls $BE)"
  same "persistent grants" $persistent "$(xenstore-read $FE/feature-persistent)"
  same "the same bytes" "$(domu_run -t 300 'sha256sum /dev/xvda' | cut -d' ' -f1)" "$(domu_run -t 300 'sha256sum /dev/xvdb' | cut -d' ' -f1)"
  compare "read 128 MiB in 1 MiB" "if=/dev/DISK of=/dev/null iflag=direct bs=1M count=128"
  compare "read 8 MiB in 4 KiB" "if=/dev/DISK of=/dev/null iflag=direct bs=4k count=2000"
  compare "write 64 MiB in 1 MiB" "if=/dev/zero of=/dev/DISK oflag=direct bs=1M count=64"
  ok "the guest's log is clean" clean_log
  ok "the guest goes" xl destroy $DOMU
done
