#!/bin/sh
# An unmodified guest's disk: 4 queues, rings of 4 pages, indirect segments, persistent grants; all that can be done with it.
. /xenlab/cases/common.sh
load_mod loop
device=$(disk_image /disk.img 256)
start_backend fleet block --platform xen --all --type vbd
DOMU_VCPUS=4 DOMU_CMDLINE="xen_blkfront.max_queues=4 xen_blkfront.max_ring_page_order=2" start_domu u1 256 || exit 1
attach_vbd vbd 51712 params=$device
wait_state $BE 4 120 || fail "the disk does not connect: $(xenstore-ls $BE)"
same "queues" 4 "$(xenstore-read $FE/multi-queue-num-queues)"
same "pages of a ring" 2 "$(xenstore-read $FE/ring-page-order)"
same "persistent grants" 1 "$(xenstore-read $FE/feature-persistent)"
same "indirect segments are used" 1 "$(domu_run 'ok=0; [ $(cat /sys/block/xvda/queue/max_segments) -gt 11 ] && ok=1; echo $ok')"

same "256 MiB read" "$(sha256sum $device | cut -d' ' -f1)" "$(domu_run -t 300 'dd if=/dev/xvda bs=1M 2>/dev/null | sha256sum' | cut -d' ' -f1)"
ok "mkfs" domu_run 'load_mod crc32c_generic; load_mod ext4; /usr/bin/mke2fs -q -F -t ext4 /dev/xvda && mkdir -p /mnt && mount -t ext4 /dev/xvda /mnt'
ok "write" domu_run 'dd if=/dev/urandom of=/mnt/a bs=1M count=24 && mkdir /mnt/d && for i in 1 2 3 4 5 6 7 8; do dd if=/dev/urandom of=/mnt/d/$i bs=64k count=8 & done; wait; sha256sum /mnt/a /mnt/d/* >/tmp/sums && sync && umount /mnt'
ok "remount and compare" domu_run 'echo 3 >/proc/sys/vm/drop_caches; mount -t ext4 /dev/xvda /mnt && sha256sum -c /tmp/sums && umount /mnt'
ok "fsck in the guest" domu_run '/usr/bin/e2fsck -fn /dev/xvda'
ok "fsck here" /usr/bin/e2fsck -fn $device
ok "flush" domu_run 'dd if=/dev/zero of=/dev/xvda bs=4k count=1 seek=20000 conv=fsync,notrunc'
ok "discard" domu_run 'blkdiscard -o 134217728 -l 1048576 /dev/xvda'
pvio status --platform xen --json >/tmp/status.json
served() { sed -n "s/.*\"$1\" *: *\([0-9]*\).*/\1/p" /tmp/status.json | head -n 1; }
[ "$(served flushes)" -gt 0 ] && [ "$(served discards)" -gt 0 ] && [ "$(served persistent_grants)" -gt 0 ] || fail "the status does not tell of flushes, discards and persistent grants: $(cat /tmp/status.json)"
echo "ok - flushes, discards and persistent grants are counted"

ok "resize" sh -c "truncate -s 300M /disk.img && losetup -c $device && pvio resize --platform xen u1 xvda"
same "the guest sees the new size" $((300 * 2048)) "$(domu_run 'for i in 1 2 3 4 5; do s=$(cat /sys/block/xvda/size); [ $s = 614400 ] && break; sleep 1; done; echo $s')"

# Of an image of its own: two devices of one file would be refused.
first_be=$BE first_fe=$FE
read_only=$(disk_image /read-only.img 16)
attach_vbd vbd 51728 params=$read_only mode=r
wait_state $BE 4 120 || fail "the read-only disk does not connect: $(xenstore-ls $BE)"
same "a read-only disk says so" 1 "$(domu_run 'cat /sys/block/xvdb/ro')"
same "and is read" "$(sha256sum $read_only | cut -d' ' -f1)" "$(domu_run 'sha256sum /dev/xvdb' | cut -d' ' -f1)"
domu_run 'dd if=/dev/zero of=/dev/xvdb bs=4k count=1' >/dev/null 2>&1 && fail "a write to a read-only disk succeeded"
detach_dev $BE $FE
BE=$first_be FE=$first_fe
detach_dev $BE $FE
ok "the guest's disk is gone" domu_run '! [ -e /sys/block/xvda ]'
attach_vbd vbd 51712 params=$device
wait_state $BE 4 120 || fail "the disk does not connect again: $(xenstore-ls $BE)"
same "attached again, the same bytes" "$(dd if=$device bs=1M count=16 2>/dev/null | sha256sum)" "$(domu_run 'dd if=/dev/xvda bs=1M count=16 2>/dev/null | sha256sum')"
ok "the guest's log is clean" clean_log
ok "the guest goes" xl destroy u1
wait_for 20 sh -c "! grep -q 'critical\|still mapped' /tmp/pvio-fleet.log" || fail "pages were left mapped"
kill $fleet_PID; wait $fleet_PID; same "the back-end's exit code" 0 $?
