#!/usr/bin/env python3
"""Writes the seeds in corpus: what VMMs say to a back-end, as VhostUserTarget.swift reads it."""
import os
import struct

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
os.makedirs(folder, exist_ok=True)
GUEST, USER, SIZE = 0x40000000, 0x7F0000000000, 65536
SEALED, EVENT, UNSEALED, DEVICE = range(4)
ALL = 1 << 30 | 1 << 32
INDIRECT, EVENT_INDEX, LOG, PACKED = 1 << 28, 1 << 29, 1 << 26, 1 << 34
HOLD, FREE, STOP, SLEEP, CHANGE, ANSWER = b"\x1b", b"\x0b", b"\x0c", b"\x0d", b"\x0f", b"\x0a"


def say(number, payload=b"", descriptor=None, reply=False):
    """One message with one descriptor, or without."""
    return bytes([(2 if reply else 0) | (3 if descriptor is None else descriptor) << 4, number, len(payload)]) + payload


def several(number, payload, descriptors):
    return bytes([3 | len(descriptors) << 4]) + bytes(descriptors) + bytes([number, len(payload)]) + payload


def words(*values):
    return struct.pack(f"<{len(values)}Q", *values)


def state(queue, number):
    return struct.pack("<II", queue, number)


def poke(offset, data):
    return b"".join(struct.pack("<BH", 7 | (len(data[at:at + 16]) - 1) << 4, offset + at) + data[at:at + 16] for at in range(0, len(data), 16))


def take(queue):
    return bytes([8 | queue << 4])


def features(extra=0, protocol=0x1B23F):
    return say(3) + say(1) + say(2, words(ALL | extra)) + say(15) + say(16, words(protocol))


def region(guest=GUEST, size=SIZE, user=USER, offset=0):
    return words(guest, size, user, offset)


MEMORY = say(5, words(1) + region(), SEALED, reply=True)


def queue(index, entries=8, base=0, log=0):
    start = index * 8192
    address = struct.pack("<II", index, 1 if log else 0) + words(USER + start, USER + start + 2048, USER + start + 1024, GUEST + start + 2048)
    return (say(8, state(index, entries)) + say(10, state(index, base)) + say(9, address) + say(13, words(index), EVENT)
            + say(12, words(index), EVENT) + say(18, state(index, 1), reply=True))


def offer(index, count):
    chain = b"".join(struct.pack("<QIHH", GUEST + 0x8000 + n * 512, 512, (1 if n + 1 < count else 0) | (2 if n else 0), n + 1) for n in range(count))
    return poke(index * 8192, chain) + poke(index * 8192 + 1024, struct.pack("<HHH", 0, 1, 0))


def seed(name, *parts):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(b"".join(parts))


seed("setup", features(EVENT_INDEX), say(17), say(36), MEMORY, queue(0), queue(1), offer(0, 3), take(0), SLEEP, ANSWER, say(11, state(0, 0)))
seed("packed", features(PACKED | EVENT_INDEX), MEMORY, queue(0, 6, 0x80008000),
     poke(0, struct.pack("<QIHH", GUEST + 0x8000, 512, 0, 0x82)), take(0), ANSWER, SLEEP, say(34))
seed("log", features(LOG), MEMORY, say(6, words(0x9000, 0), SEALED), queue(0, log=1), offer(0, 2), take(0), ANSWER, say(7, b"", EVENT))
seed("inflight", features(), MEMORY, say(31, words(0, 0) + struct.pack("<HH", 2, 8) + bytes(4)),
     say(32, words(4096, 0x4000) + struct.pack("<HH", 2, 8) + bytes(4), SEALED), queue(0), offer(0, 2), take(0), say(11, state(0, 0)), queue(0))
seed("held", features(), MEMORY, queue(0), offer(0, 2), take(0), HOLD, say(11, state(0, 0)), say(17), ANSWER, STOP, FREE)
seed("table", features(), several(5, words(2) + region(size=8192) + region(GUEST + 8192, 8192, USER + 8192, 8192), [SEALED, SEALED]), queue(0),
     MEMORY, say(37, words(0) + region(0x1000, 4096, 0x1000, 4096), SEALED), say(38, words(0) + region(0x1000, 4096, 0x1000, 4096)))
seed("unsealed", features(), say(37, words(0) + region(size=8192), UNSEALED), queue(0), take(0))
seed("configuration", features(), say(24, struct.pack("<III", 0, 16, 0) + bytes(16)), say(25, struct.pack("<III", 4, 8, 0) + bytes(8), reply=True),
     say(21, b"", EVENT), CHANGE, say(39, words(15)), say(40), say(20, words(1500)), say(19, words(0)))
seed("wrong-descriptor", features(), say(37, words(0) + region(), DEVICE))
seed("cut", b"\xb5" + struct.pack("<III", 16, 1, 8), b"\x15\x00\x01", b"\x56\x00\x00\x00\x00\x00")
seed("reply", b"\x04\x05\x00\x01\x00")
seed("again", features(), MEMORY, queue(0), offer(0, 2), say(9, struct.pack("<II", 0, 0) + words(USER, USER + 2048, USER + 1024, 0)),
     say(18, state(0, 0)), say(18, state(0, 1)), say(13, words(0), EVENT), say(12, words(0), EVENT))
