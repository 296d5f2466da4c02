#!/usr/bin/env python3
"""Holds what soak-net.sh has collected against each other: every frame is somewhere."""
import json
import sys

folder, *names = sys.argv[1:]
wrong = []


def load(name):
    with open(f"{folder}/{name}") as file:
        return json.load(file)


def expect(what, left, right):
    if left != right:
        wrong.append(f"{what}: {left} is not {right}")


def checksum_errors(name):
    """Of every protocol that counts them."""
    total, header = 0, None
    with open(f"{folder}/{name}.snmp") as file:
        for line in file:
            protocol, *fields = line.split()
            if header and header[0] == protocol:
                values = dict(zip(header[1], fields))
                total += int(values.get("InCsumErrors", 0)) + (int(values.get("InHdrErrors", 0)) if protocol == "Ip:" else 0)
                header = None
            else:
                header = (protocol, fields)
    return total


for run, which in (("forth", "to"), ("back", "from")):
    end = load(f"{run}.json")["end"]
    sent, received = end["sum_sent"], end["sum_received"]
    print(f"{which} the other side: {received['bits_per_second'] / 1e9:.2f} Gb/s for {received['seconds']:.0f} s, "
          f"{received['bytes'] / 1e9:.1f} GB, {sent.get('retransmits', 0)} retransmits")

devices = {device["device"]["id"]: device["net"] for device in load("status.json")["devices"]}
nets = [devices[f"soak{number}"] for number in range(2)]
links = [load(f"{name}.json")[0]["stats64"] for name in names]
for number, (net, link) in enumerate(zip(nets, links)):
    port, who, lost = net["port"], f"guest {number}", net["receive_drops"]
    other = nets[1 - number]["port"]
    # The kernel counts a frame as sent when it was read from the interface; what found no room there is dropped by the kernel and says so.
    expect(f"{who}: sent by its kernel, taken by the back-end", link["tx"]["packets"], net["transmitted_frames"])
    expect(f"{who}: bytes of the same", link["tx"]["bytes"], net["transmitted_bytes"])
    expect(f"{who}: taken by the back-end, taken by the port", net["transmitted_frames"] - net["transmit_errors"], port["taken_frames"])
    expect(f"{who}: bytes of the same", net["transmitted_bytes"], port["taken_bytes"])
    gone = sum(count for reason, count in port["drops"].items() if reason in ("spoofed", "wrong_vlan", "malformed"))
    expect(f"{who}: taken by the port, and delivered or refused by the other", port["taken_frames"] - gone,
           other["delivered_frames"] + other["drops"].get("refused", 0))
    expect(f"{who}: given by the port, received", port["delivered_frames"] - lost.get("expired", 0), net["received_frames"])
    expect(f"{who}: refused by the guest's side", port["drops"].get("refused", 0), sum(lost.values()) - lost.get("expired", 0))
    expect(f"{who}: received, seen by its kernel", net["received_frames"], link["rx"]["packets"])
    expect(f"{who}: bytes of the same", net["received_bytes"], link["rx"]["bytes"])
    expect(f"{who}: errors of its kernel's interface", link["rx"]["errors"] + link["tx"]["errors"], 0)
    expect(f"{who}: wrong checksums seen by its kernel", checksum_errors(names[number]), 0)
    print(f"{who}: {link['tx']['packets']} frames sent ({link['tx']['dropped']} dropped by its kernel before that), "
          f"{link['rx']['packets']} received ({link['rx']['dropped']} dropped by its kernel after that); at the switch: {port['drops'] or 'no drops'}; "
          f"for the guest: {lost or 'no drops'}")
for line in wrong:
    print(f"soak-net: {line}", file=sys.stderr)
print("every frame is accounted for, no wrong checksum" if not wrong else "soak-net: FAILED")
sys.exit(1 if wrong else 0)
