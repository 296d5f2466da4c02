#!/bin/sh
# A back-end goes and another one comes, and the guest, connected and idle, need not know.
. /xenlab/cases/common.sh
load_mod loop; load_mod tun
device=$(disk_image /disk.img 32)
start_backend disks block --platform xen --all --type vbd
start_backend nics net --platform xen --all --type vif
start_domu u1 256 || exit 1
attach_vbd vbd 51712 params=$device
wait_state $BE 4 120 || fail "the disk does not connect: $(xenstore-ls $BE)"
disk=$BE
attach_vif vif 0
wait_state $BE 4 120 || fail "the interface does not connect: $(xenstore-ls $BE)"
ifconfig vif$DOMID.0 10.9.0.1 netmask 255.255.255.0 up
check() { # WHAT
  same "$1: the disk" "$(sha256sum $device | cut -d' ' -f1)" "$(domu_run 'echo 3 >/proc/sys/vm/drop_caches; sha256sum /dev/xvda' | cut -d' ' -f1)"
  ok "$1: written" domu_run "echo $1 | dd of=/dev/xvda bs=512 seek=100 count=1 conv=fsync,sync,notrunc"
  same "$1: what was written" "$1" "$(dd if=$device bs=512 skip=100 count=1 2>/dev/null | tr -d '\0')"
  ok "$1: ping" domu_run 'ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up; ping -c 2 -W 5 10.9.0.1'
}
check first
kill $disks_PID $nics_PID; wait $disks_PID; wait $nics_PID
same "left connected" "4 4" "$(xs_state $disk) $(xs_state $BE)"
start_backend disks block --platform xen --all --type vbd
start_backend nics net --platform xen --all --type vif
check planned
kill -9 $disks_PID $nics_PID; wait $disks_PID $nics_PID 2>/dev/null
# The guest writes while nobody serves it: the request waits.
domu_bg "echo waited | dd of=/dev/xvda bs=512 seek=200 count=1 conv=fsync,sync,notrunc"
start_backend disks block --platform xen --all --type vbd
start_backend nics net --platform xen --all --type vif
check killed
same "what was written meanwhile" waited "$(dd if=$device bs=512 skip=200 count=1 2>/dev/null | tr -d '\0')"
ok "the guest's log is clean" clean_log
