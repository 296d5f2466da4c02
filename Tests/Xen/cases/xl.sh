#!/bin/sh
# A guest whose disk and interface stand in xl's configuration, as for any other guest.
. /xenlab/cases/common.sh
load_mod loop; load_mod tun; load_mod bridge
device=$(disk_image /disk.img 32)
mv /bin/block-pvio /etc/xen/scripts/
brctl addbr xenbr0 && ifconfig xenbr0 10.9.0.1 netmask 255.255.255.0 up
start_backend disks block --platform xen --all --type vbd
start_backend nics net --platform xen --all --type vif
start_domu u1 256 "disk = [ 'vdev=xvda,format=raw,script=block-pvio,target=/disk.img', 'vdev=xvdb,access=ro,format=raw,script=block-pvio,target=$device' ]
vif = [ 'mac=00:16:3e:00:00:07,bridge=xenbr0' ]" || exit 1
ok "the disks are connected" domu_run 'for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /sys/block/xvda ] && [ -e /sys/block/xvdb ] && break; sleep 1; done; ls /sys/block'
same "the disk's bytes" "$(sha256sum $device | cut -d' ' -f1)" "$(domu_run 'sha256sum /dev/xvdb' | cut -d' ' -f1)"
brctl addif xenbr0 vif$DOMID.0 2>/dev/null; ifconfig vif$DOMID.0 up
ok "ping over the bridge" domu_run 'ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up; for i in 1 2 3 4 5 6 7 8 9 10; do ping -c 1 -W 2 10.9.0.1 && exit 0; done; exit 1'
pvio list --platform xen
ok "xl takes a disk away" xl block-detach u1 xvdb
ok "xl gives a disk" xl block-attach u1 "vdev=xvdc,format=raw,script=block-pvio,target=$device"
same "the disk's bytes" "$(sha256sum $device | cut -d' ' -f1)" "$(domu_run 'for i in 1 2 3 4 5; do [ -e /sys/block/xvdc ] && break; sleep 1; done; sha256sum /dev/xvdc' | cut -d' ' -f1)"
ok "the guest's log is clean" clean_log
ok "shut down" xl destroy u1
sleep 2
same "nothing is left" "" "$(pvio list --platform xen | grep -v DOMID)"
