#!/usr/bin/env python3
"""Writes the seeds in corpus-split and corpus-packed: what drivers do to a queue, as VirtqueueTarget.swift reads it."""
import os
import struct

folder = os.path.dirname(os.path.abspath(__file__))
NEXT, WRITE, INDIRECT, AVAILABLE = 1, 2, 4, 0x80
EVENT, TABLES, RECORD, LOG, IN_ORDER = 1, 2, 4, 8, 0x80
TAKE, PUT, PUBLISH, ARM, DISARM, RESTART, RESTART_BLIND = b"\x08", b"\x0b\x00", b"\x0d", b"\x0e", b"\x1e", b"\x0f", b"\x1f\x00\x80\x00\x80"


def split(index, address, length, flags=0, following=0):
    return struct.pack("<BHHBB", 6 | index << 4, address, length, flags, following)


def packed(index, address, length, flags=0, identifier=0, wrap=True):
    return struct.pack("<BHHBBB", 6 | index << 4, address, length, identifier, flags | (AVAILABLE if wrap else 0), 0 if wrap else 0x80)


def offer(index):
    return struct.pack("<BH", 7, index)


def seed(name, options, entries, *parts):
    kind = name.split("/")[0]
    size = {1: 0, 2: 1, 4: 2, 8: 3}[entries] if kind == "split" else entries - 1
    with open(os.path.join(folder, f"corpus-{name}"), "wb") as file:
        file.write(bytes([options | size << 4]) + b"".join(parts))


for kind in ("split", "packed"):
    os.makedirs(os.path.join(folder, f"corpus-{kind}"), exist_ok=True)
ANSWER = TAKE + PUT + PUBLISH + ARM

seed("split/chain", EVENT, 4, split(0, 0x1400, 16, NEXT, 1), split(1, 0x2ff0, 64, WRITE), offer(1), ANSWER, offer(2), ANSWER)
seed("split/loop", 0, 4, split(0, 0x1400, 16, NEXT, 1), split(1, 0x1400, 16, NEXT, 0), offer(1), TAKE, TAKE)
seed("split/index", 0, 4, offer(5), TAKE, ARM)
# A head that is offered again before its answer was shown, until there are more answers than the queue has entries; with answers in order, too.
for name, options in (("again", RECORD), ("again-in-order", RECORD | IN_ORDER)):
    seed(f"split/{name}", options, 4, split(0, 0x1400, 16), offer(4), *[TAKE + PUT] * 4, offer(8), TAKE + PUT, TAKE, PUBLISH)
table = struct.pack("<QIHH", 0x1400, 8, NEXT, 1) + struct.pack("<QIHH", 0x1500, 8, WRITE, 0)
seed("split/table", TABLES | LOG, 2, b"\xf4" + struct.pack("<H", 0x600) + table[:16], b"\xf4" + struct.pack("<H", 0x610) + table[16:],
     split(0, 0x1600, 32, INDIRECT), offer(1), ANSWER)
seed("split/record", RECORD, 4, split(0, 0x1400, 16), split(1, 0x1400, 16), b"\x32\x04\x00\x00\x01\x00", offer(2), TAKE, TAKE, PUT, RESTART_BLIND, TAKE, TAKE,
     PUT, PUBLISH, RESTART, TAKE)

seed("packed/chain", EVENT, 3, packed(0, 0x1400, 16, NEXT), packed(1, 0x2ff0, 64, WRITE, 1), ANSWER, packed(2, 0x1400, 8, 0, 2), ANSWER,
     packed(0, 0x1400, 8, 0, 0, wrap=False), ANSWER)
seed("packed/round", 0, 2, packed(0, 0x1400, 16, NEXT), packed(1, 0x1400, 16, NEXT), TAKE, TAKE)
seed("packed/lie", 0, 2, packed(0, 0x1400, 16), packed(1, 0x1400, 16, 0, 1), TAKE, TAKE, packed(0, 0x1400, 16, 0, 0, wrap=False), TAKE)
table = struct.pack("<QIHH", 0x1400, 8, 0, 0) + struct.pack("<QIHH", 0x1500, 8, 0, WRITE)
seed("packed/table", TABLES | LOG, 2, b"\xf4" + struct.pack("<H", 0x600) + table[:16], b"\xf4" + struct.pack("<H", 0x610) + table[16:],
     packed(0, 0x1600, 32, INDIRECT), ANSWER)
seed("packed/record", RECORD, 4, packed(0, 0x1400, 16), packed(1, 0x1400, 16, 0, 1), packed(2, 0x1400, 16, 0, 2), TAKE, TAKE, TAKE, PUT, PUT, RESTART_BLIND,
     TAKE, TAKE, PUT, PUBLISH, RESTART, TAKE)
