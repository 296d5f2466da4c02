#!/usr/bin/env python3
"""Writes the seeds in Fuzzing/Store/corpus: request streams as clients send them, cut as StoreTarget.swift says."""
import os
import struct

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
CONTROL, DIRECTORY, READ, GET_PERMS, WATCH, UNWATCH, START, END, INTRODUCE, RELEASE, PATH, WRITE, MKDIR, RM, SET_PERMS = range(15)
IS_INTRODUCED, RESUME, SET_TARGET, RESET, PART, GET_FEATURE, SET_FEATURE, GET_QUOTA, SET_QUOTA = 17, 18, 19, 21, 22, 23, 24, 25, 26


def request(kind, text="", tx=0, length=None):
    payload = text.replace("|", "\0").encode()
    return struct.pack("<IIII", kind, 7, tx, len(payload) if length is None else length) + payload


def cut(client, data):
    return struct.pack("<BH", client, len(data)) + data


os.makedirs(os.path.join(folder, "requests"), exist_ok=True)
os.makedirs(os.path.join(folder, "migration"), exist_ok=True)


def seed(name, *parts):
    with open(os.path.join(folder, "requests", name), "wb") as file:
        file.write(b"".join(cut(client, data) for client, data in parts))


# Numbers of transactions are counted together with those of connections and watches: the first one after the start is small.
some = range(5, 12)
seed("read", (0, request(READ, "/a|") + request(DIRECTORY, "/|") + request(GET_PERMS, "/a|")))
seed("write", (0, request(WRITE, "/a/b/c|value") + request(READ, "/a/b/c|")), (1, request(WRITE, "/a/x|1")))
seed("relative", (1, request(WRITE, "device/vbd/0/state|1") + request(READ, "device/vbd/0/state|")))
seed("remove", (0, request(WRITE, "/a/b/c|") + request(RM, "/a|") + request(RM, "/a|") + request(RM, "/|")))
seed("permissions", (0, request(SET_PERMS, "/a|n0|r5|b6|")), (1, request(READ, "/a|") + request(SET_PERMS, "/a|n5|")))
seed("watch", (1, request(WATCH, "/a|t|")), (0, request(WRITE, "/a/b|1")), (1, request(UNWATCH, "/a|t|")))
seed("watch-depth", (0, request(WATCH, "/|t|1|") + request(WATCH, "@releaseDomain|t|1|") + request(RELEASE, "5|")))
seed("watch-many", (1, b"".join(request(WATCH, f"/a/{i}|t|") for i in range(6)) + request(RESET)))
seed("transaction", (0, request(START, "|") + b"".join(request(WRITE, "/a|1", i) + request(END, "T|", i) for i in some)))
seed("conflict", (0, request(START, "|") + b"".join(request(READ, "/a|", i) for i in some)), (3, request(WRITE, "/a|2")),
     (0, b"".join(request(END, "T|", i) for i in some)))
seed("transaction-rm", (0, request(WRITE, "/a/b/c|1") + request(START, "|")), (0, b"".join(request(RM, "/a|", i) for i in some)),
     (3, request(WRITE, "/a/b/d|")), (0, b"".join(request(MKDIR, "/a/z|", i) + request(END, "T|", i) for i in some)))
seed("transaction-guest", (1, request(START, "|") + b"".join(request(WRITE, "/a/q|1", i) for i in some)), (0, request(RELEASE, "5|")))
seed("transaction-many", (1, request(START, "|") * 14 + request(RESET)))
seed("quota-nodes", (1, b"".join(request(WRITE, f"/a/n{i}|v") for i in range(25))))
seed("quota-size", (1, request(WRITE, "/a/big|" + "v" * 2100)))
seed("domains", (0, request(INTRODUCE, "6|1|1|") + request(IS_INTRODUCED, "6|") + request(SET_TARGET, "6|5|") + request(RESUME, "6|")
     + request(PATH, "6|") + request(RELEASE, "6|")))
seed("release", (0, request(WATCH, "@releaseDomain|t|") + request(RELEASE, "5|") + request(INTRODUCE, "5|1|1|")))
seed("part", (0, b"".join(request(WRITE, f"/a/child-{i}|") for i in range(40)) + request(PART, "/a|0|") + request(PART, "/a|9|")))
seed("too-big", (0, b"".join(request(WRITE, "/a/" + "n" * 200 + f"{i}|") for i in range(22)) + request(DIRECTORY, "/a|") + request(PART, "/a|0|")))
seed("control", (0, b"".join(request(CONTROL, text) for text in (
    "check|", "help|", "quota|", "quota|5|", "quota|max|-r|", "quota|set|nodes|9|", "quota|refusals|", "quota-soft|set|memory|9|", "memreport|",
    "print|hello|", "log|on|", "log|off|", "logfile|x|", "audit|on|", "audit|0|", "audit|off|", "nonsense|"))))
seed("newer", (0, request(GET_FEATURE) + request(GET_FEATURE, "5|") + request(SET_FEATURE, "9|4|") + request(GET_QUOTA)
     + request(GET_QUOTA, "5|nodes|") + request(SET_QUOTA, "5|nodes|3|") + request(SET_QUOTA, "watches|1|")))
seed("unknown-types", (0, b"".join(request(kind, "/a|") for kind in (15, 16, 20, 27, 99, 0xFFFF, 0xFFFFFFFF))))
seed("no-nul", (0, b"".join(request(kind, "/a") for kind in range(27))))
seed("empty", (0, b"".join(request(kind) for kind in range(27))))
seed("bad-paths", (0, b"".join(request(READ, text) for text in ("//|", "/a/|", "/a..|", "|", "@x|", "/local/domain/|", "a" * 2049 + "|"))))
seed("long-path", (0, request(WRITE, "/a" * 1000 + "|deep") + request(RM, "/a|")))
seed("long-token", (1, request(WATCH, "/a|" + "t" * 2000 + "|")))
seed("halves", (0, request(READ, "/a|")[:9]), (1, request(READ, "/a|")), (0, request(READ, "/a|")[9:]))
seed("too-long", (0, request(READ, "/a|") + request(WRITE, "/a|", length=4097)), (1, request(READ, "/a|", length=0x80000000)))
seed("largest", (0, request(WRITE, "/a|" + "v" * 4093) + request(READ, "/a|")))
seed("unread", (0, request(WATCH, "/|t|")), (3, b"".join(request(WRITE, f"/a/{i}|") for i in range(30)) + b""))
seed("special-permissions", (0, request(SET_PERMS, "@releaseDomain|n0|r5|") + request(GET_PERMS, "@releaseDomain/5|")), (1, request(GET_PERMS, "@releaseDomain|")))


def stream(name, *records, version=2, flags=0):
    data = b"xenstore" + struct.pack(">II", version, flags)
    for kind, body in records + ((0, b""),):
        data += struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)
    with open(os.path.join(folder, "migration", name), "wb") as file:
        file.write(data)


socket = (2, struct.pack("<IHHIIHHI", 7, 1, 0, 9, 0, 0, 0, 0))
watch = (3, struct.pack("<IHH", 7, 3, 2) + b"/a\0t\0")
stream("empty")
stream("global", (1, struct.pack("<ii", 5, -1)))
stream("socket", (1, struct.pack("<ii", 5, -1)), socket, watch)
stream("big-endian", flags=1)
stream("version-1", socket, version=1)
