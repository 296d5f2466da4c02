#!/bin/sh
# Pipes between pvio and Xen's own libxenvchan, both in domain 0: both roles, both directions, and the end of either by kill -9.
. /xenlab/cases/common.sh
dd if=/dev/urandom of=/data bs=64k count=64 2>/dev/null
sum=$(sha256sum /data | cut -d' ' -f1)
path=/local/domain/0/data/pipe
received() { sha256sum /received | cut -d' ' -f1; }
ours() { timeout 60 pvio vchan $1 --platform xen --domain 0 $path 2>/tmp/pvio-vchan.log; }
theirs() { timeout 60 vchan-peer $1 0 $path $2 2>/tmp/peer.log; }

ours listen </data >/dev/null & first=$!
theirs client receive >/received
wait $first; same "our server sends, their client receives" "$sum" "$(received)"

ours listen </dev/null >/received & first=$!
theirs client send </data
wait $first; same "their client sends, our server receives" "$sum" "$(received)"

theirs server receive >/received & first=$!
ours connect </data >/dev/null
wait $first; same "our client sends, their server receives" "$sum" "$(received)"
xenstore-rm $path

theirs server send </data & first=$!
ours connect </dev/null >/received
wait $first; same "their server sends, our client receives" "$sum" "$(received)"
xenstore-rm $path

# Without a word: the kernel says it for the one that was killed.
mkfifo /never; sleep 600 >/never & writer=$!
pvio vchan listen --platform xen --domain 0 $path </never >/dev/null 2>/tmp/pvio-vchan.log & first=$!
vchan-peer client 0 $path receive >/dev/null 2>/tmp/peer.log & second=$!
wait_for 60 grep -q open /tmp/peer.log || fail "their client did not open"
kill -9 $first; wait $second; same "their client sees that our server was killed" 0 $?
xenstore-rm $path

vchan-peer server 0 $path receive >/dev/null 2>/tmp/peer.log & first=$!
pvio vchan connect --platform xen --log-level info --domain 0 $path </never >/dev/null 2>/tmp/pvio-vchan.log & second=$!
wait_for 60 grep -q open /tmp/peer.log || fail "their server did not open"
sleep 2
kill -9 $first; wait $second; same "our client sees that their server was killed" 0 $?
grep -q "the other end has left" /tmp/pvio-vchan.log || fail "our client does not say that the other end has left"
xenstore-rm $path

vchan-peer server 0 $path receive >/dev/null 2>/tmp/peer.log & first=$!
pvio vchan connect --platform xen --log-level info --domain 0 $path </never >/dev/null 2>/tmp/pvio-vchan.log & second=$!
wait_for 60 grep -q open /tmp/peer.log || fail "their server did not open"
sleep 2
kill -9 $second; wait $first; same "their server sees that our client was killed" 0 $?
kill $writer
