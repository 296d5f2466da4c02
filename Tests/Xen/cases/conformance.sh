#!/bin/sh
# The platform's own tests on the devices of a real Xen host: grants, batches, copies, notices, event channels, a loop on both ends.
. /xenlab/cases/common.sh
for module in virtio_pci 9pnet_virtio 9p; do ok "module $module" load_mod $module; done
mkdir -p /share; ok "the tests" mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 share /share
LD_LIBRARY_PATH=/share/lib /share/lib/ld-linux-x86-64.so.2 /share/tests --testing-library swift-testing --filter XenHostTests >/tmp/tests.log 2>&1
code=$?
grep -E "Test .* (passed|failed|recorded|skipped)|Test run" /tmp/tests.log
[ $code = 0 ] || { tail -n 40 /tmp/tests.log; fail "the platform's tests ended with $code"; }
grep -qE "Test run with [1-9][0-9]* tests.* passed" /tmp/tests.log || fail "no test ran"
! grep -q skipped /tmp/tests.log || fail "the tests were skipped"
