#!/bin/sh
# An unmodified guest's network interface: 2 queues, split event channels, checksum and segmentation offload, traffic both ways.
. /xenlab/cases/common.sh
load_mod tun
start_backend fleet net --platform xen --all --type vif
DOMU_VCPUS=2 DOMU_CMDLINE="xen_netfront.max_queues=2" start_domu u1 256 || exit 1
attach_vif vif 0
wait_state $BE 4 120 || fail "the interface does not connect: $(xenstore-ls $BE)"
same "queues" 2 "$(xenstore-read $FE/multi-queue-num-queues)"
ok "split event channels" sh -c "xenstore-read $FE/queue-0/event-channel-tx && xenstore-read $FE/queue-1/event-channel-rx"
same "segmentation offload is agreed" "1 1" "$(xenstore-read $FE/feature-gso-tcpv4) $(xenstore-read $BE/feature-gso-tcpv4)"
ok "addresses" ifconfig vif$DOMID.0 10.9.0.1 netmask 255.255.255.0 up
ok "the guest's address" domu_run 'ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up'
ok "ping" domu_run 'ping -c 3 -W 5 10.9.0.1'
ok "ping of the largest packets" domu_run 'ping -c 3 -W 5 -s 1472 10.9.0.1'

mkdir -p /www && dd if=/dev/urandom of=/www/file bs=1M count=32 2>/dev/null
httpd -h /www -p 10.9.0.1:80
same "a download" "$(sha256sum /www/file | cut -d' ' -f1)" "$(domu_run -t 240 'wget -q -O - http://10.9.0.1/file | sha256sum' | cut -d' ' -f1)"

iperf3 -s -D -B 10.9.0.1 >/dev/null
received() { awk -v n=vif$DOMID.0: '$1 == n {print $2, $3}' /proc/net/dev; }
before=$(received)
ok "iperf3 from the guest" domu_run -t 60 'iperf3 -c 10.9.0.1 -t 5'
size=$(echo $before $(received) | awk '{print int(($3 - $1) / ($4 - $2))}')
[ $size -gt 1514 ] || fail "frames from the guest have $size bytes on average: they are no segments of more than one packet"
echo "ok - the guest hands over segments of more than one packet ($size bytes on average)"
sed -n 's/.*sec .*bits\/sec.*/  &/p' /tmp/ok.out | tail -n 2
ok "iperf3 to the guest" domu_run -t 60 'iperf3 -c 10.9.0.1 -t 5 -R'
sed -n 's/.*sec .*bits\/sec.*/  &/p' /tmp/ok.out | tail -n 2
same "no wrong checksum in the guest" 0 "$(domu_run "awk '/^Tcp:/ && \$2 ~ /[0-9]/ {print \$16}' /proc/net/snmp")"
same "no wrong checksum here" 0 "$(awk '/^Tcp:/ && $2 ~ /[0-9]/ {print $16}' /proc/net/snmp)"
detach_dev
ok "the guest's interface is gone" domu_run '! [ -e /sys/class/net/eth0 ]'
attach_vif vif 0
wait_state $BE 4 120 || fail "the interface does not connect again: $(xenstore-ls $BE)"
ifconfig vif$DOMID.0 10.9.0.1 netmask 255.255.255.0 up
ok "plugged again" domu_run 'ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up; ping -c 3 -W 5 10.9.0.1'
pvio status --platform xen
ok "the guest's log is clean" clean_log
ok "the guest goes" xl destroy u1
kill $fleet_PID; wait $fleet_PID; same "the back-end's exit code" 0 $?
