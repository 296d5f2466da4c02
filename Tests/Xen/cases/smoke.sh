#!/bin/sh
# A guest reads a whole disk, writes to it, and sends packets, all through pvio: the short part that CI runs.
. /xenlab/cases/common.sh
ok "modules" load_mod loop
ok "modules" load_mod tun
device=$(disk_image /disk.img 32)
sum=$(sha256sum $device | cut -d' ' -f1)
start_domu u1 256 || exit 1
ok "attach a disk" pvio attach --platform xen u1 disk file=$device
be=$(xenstore-ls -f /local/domain/0/backend/pvio-vbd | sed -n 's/\/frontend = .*//p' | head -n 1)
wait_state $be 4 120 || fail "the disk does not connect: $(xenstore-ls $be)"
same "the disk's bytes" "$sum" "$(domu_run 'sha256sum /dev/xvda' | cut -d' ' -f1)"
ok "write" domu_run 'dd if=/dev/zero of=/dev/xvda bs=64k count=16 seek=4 conv=fsync'
same "the disk's bytes after writing" "$(sha256sum $device | cut -d' ' -f1)" "$(domu_run 'echo 3 > /proc/sys/vm/drop_caches; sha256sum /dev/xvda' | cut -d' ' -f1)"
pvio status --platform xen
ok "attach an interface" pvio attach --platform xen u1 net tap=vif-u1,mac=00:16:3e:00:00:01
ok "the host's address" ifconfig vif-u1 10.9.0.1 netmask 255.255.255.0 up
ok "the guest's address" domu_run 'for i in 1 2 3 4 5 6 7 8 9 10; do [ -d /sys/class/net/eth0 ] && break; sleep 1; done; ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up'
ok "ping" domu_run 'ping -c 3 -W 5 10.9.0.1'
pvio status --platform xen
ok "detach the disk" pvio detach --platform xen u1 xvda
ok "detach the interface" pvio detach --platform xen u1 vif0
ok "the guest's log is clean" clean_log
