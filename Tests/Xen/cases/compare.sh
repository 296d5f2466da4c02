#!/bin/sh
# The same image to the same guest through Linux's xen-blkback and through pvio: a ratio. The processor is software, so no more than that.
. /xenlab/cases/common.sh
load_mod loop; load_mod xen-blkback
device=$(disk_image /disk.img 128)
DOMU_CMDLINE="xen_blkfront.max_ring_page_order=2" start_domu u1 256 || exit 1
numbers=$(stat -L -c '%t:%T' $device)
start_backend fleet block --platform xen --all --type pvio-vbd
attach_vbd vbd 51712 params=$device physical-device=$numbers type=phy hotplug-status=connected
wait_state $BE 4 120 || fail "blkback does not connect: $(xenstore-ls $BE)"
attach_vbd pvio-vbd 51728 params=$device
wait_state $BE 4 120 || fail "pvio does not connect: $(xenstore-ls $BE)"
same "the same bytes" "$(domu_run -t 300 'sha256sum /dev/xvda' | cut -d' ' -f1)" "$(domu_run -t 300 'sha256sum /dev/xvdb' | cut -d' ' -f1)"
speed() { # DEVICE ARGS: MB/s of a read without the guest's cache
  domu_run -t 300 "dd if=/dev/$1 of=/dev/null iflag=direct $2 2>&1" | sed -n 's/.* \([0-9.]*\) seconds.*/\1/p'
}
for shape in "bs=1M count=128" "bs=4k count=2000"; do
  theirs= ours=
  for round in 1 2 3 4 5; do theirs="$theirs $(speed xvda "$shape")"; ours="$ours $(speed xvdb "$shape")"; done
  median() { for n in "$@"; do echo $n; done | sort -n | sed -n 3p; }
  echo "$shape: blkback $(median $theirs) s, pvio $(median $ours) s, ratio $(echo "$(median $theirs) $(median $ours)" | awk '{printf "%.2f", $1 / $2}')"
done
ok "the guest's log is clean" clean_log
