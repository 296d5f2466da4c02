#!/bin/sh
# The platform's conformance tests, in domain 0: what was built on the other side is in the folder that both share.
. /xenlab/cases/common.sh
load_mod 9pnet_virtio; load_mod virtio_pci; load_mod 9p
mkdir -p /mnt && ok "the shared folder" mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 share /mnt
LD_LIBRARY_PATH=/mnt/lib /mnt/lib/ld-linux-x86-64.so.2 /mnt/tests --testing-library swift-testing --filter XenHostTests >/tmp/conformance.out 2>&1
status=$?
cat /tmp/conformance.out
same "the exit code" 0 $status
grep -q 'Test run with 1[0-9] tests.* passed' /tmp/conformance.out || fail "the tests were not run"
