#!/usr/bin/env python3
"""Writes the seeds in Fuzzing/Net/corpus: slots and frames as honest peers send them, and the well-known ways of breaking them."""
import os
import struct

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
os.makedirs(folder, exist_ok=True)
CSUM, VALID, MORE, EXTRA = 1, 2, 4, 8


def seed(name, kind, *parts):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(bytes([kind]) + b"".join(parts))


def tx(size, flags=0, offset=0, gref=8, identifier=1): return struct.pack("<IHHHH", gref, offset, flags, identifier, size)
def rx(status, flags=0, offset=0, identifier=1): return struct.pack("<HHHh", identifier, offset, flags, status)
def gso(size, kind=1, more=0): return struct.pack("<BBHBBH", 1, more, size, kind, 0, 0)


seed("tx-small", 0, tx(60), tx(1514, CSUM | VALID))
seed("tx-pieces", 0, tx(9000, MORE), tx(4096, MORE), tx(1000))
seed("tx-large", 0, tx(65000, MORE | EXTRA | CSUM), gso(1448) + bytes(4), *[tx(4000, MORE) for _ in range(15)], tx(4000))
seed("tx-too-many", 0, tx(65000, MORE), *[tx(100, MORE) for _ in range(22)])
seed("tx-empty-pieces", 0, tx(100, MORE), tx(0, MORE), tx(100))
seed("tx-outside", 0, tx(4000, 0, 200))
seed("tx-extras", 0, tx(60, EXTRA), gso(0, 2, 1) + bytes(4), gso(1, 9) + bytes(4))
seed("tx-multicast", 0, tx(14, EXTRA), bytes([2, 0, 1, 0, 0x5e, 0, 0, 1]) + bytes(4), tx(60))
seed("rx-small", 1, rx(60), rx(1514, VALID))
seed("rx-pieces", 1, rx(4096, MORE), rx(4096, MORE), rx(10))
seed("rx-large", 1, rx(4096, MORE | EXTRA), gso(1448), rx(4096, MORE), rx(100))
seed("rx-headroom", 1, rx(300, EXTRA), bytes([5, 0, 0, 1]) + bytes(4))
seed("rx-failed", 1, rx(-1, MORE), rx(4096, 0, 4000), rx(60, 16))
ethernet = bytes(range(12))
tcp = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 99, 0, 0)
for name, payload in (("short", 100), ("long", 3000)):
    v4 = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + payload, 7, 0, 64, 6, 0, bytes(4), bytes(4))
    v6 = struct.pack(">IHBB16s16s", 6 << 28, 20 + payload, 6, 64, bytes(16), bytes(16))
    for kind in (2, 6):
        seed(f"frame4-{name}-{kind}", kind, struct.pack("<H", 500), ethernet + b"\x08\x00", v4, tcp, bytes(payload))
    seed(f"frame6-{name}", 10, struct.pack("<H", 500), ethernet + b"\x86\xdd", v6, tcp, bytes(payload))
    seed(f"tagged-{name}", 6, struct.pack("<H", 500), ethernet + b"\x81\x00\x00\x0a\x08\x00", v4, tcp, bytes(payload))
