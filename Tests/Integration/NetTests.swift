import Foundation
import LinuxSystem
import Testing

extension Integration {
  /// Interfaces between network namespaces, used by programs that know nothing of us.
  @Suite(.enabled(if: NetworkNamespaces.areAvailable && Program.arePresent("ping", "python3"), "\(NetworkNamespaces.reason)"))
  struct Net {
    @Test func aGuestReachesTheHostThroughATapInterface() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        let guest = try await network.make("guest")
        try await bed.pvio("attach", "7", "net", "tap=tap0,netns=\(host),mac=00:16:3e:00:00:07,id=net0")
        let export = try await bed.exportTap(in: guest)
        try await bed.waitForStates(4, 4, of: "net0")
        try await network.setAddress(1, of: "tap0", in: host)
        try await network.setAddress(2, of: "eth0", in: guest)
        #expect(try await network.ping(1, from: guest) == 3)

        // Large frames, cut by nobody: a download that is compared.
        let content = try await bed.randomImage(megabytes: 24)
        try await network.expectDownload(of: content, from: host, at: 1, to: guest)

        // As on a Xen host.
        let store = try await bed.call("xenstore-ls", "-f", "/local/domain")
        for line in [
          "/local/domain/7/device/vif/0/mac = \"00:16:3e:00:00:07\"", "/local/domain/7/device/vif/0/state = \"4\"",
          "/local/domain/0/backend/vif/7/0/state = \"4\"", "/local/domain/0/backend/vif/7/0/feature-gso-tcpv4 = \"1\"",
          "/local/domain/0/backend/vif/7/0/carrier = \"1\"",
        ] { #expect(store.contains(line), "\(line)\n\(store)") }

        // Every frame is accounted for: what one kernel sent, we passed, and the other one received.
        try await eventually("the figures agree") {
          let ours = try await bed.netStatus("net0").net
          let tap = try await network.counters(of: "tap0", in: host)
          let eth = try await network.counters(of: "eth0", in: guest)
          return ours?.transmitted_frames == eth.sent.packets && ours?.transmitted_frames == tap.received.packets
            && ours?.received_frames == tap.sent.packets && ours?.received_frames == eth.received.packets
        }
        let ours = try #require(try await bed.netStatus("net0").net)
        #expect(ours.transmit_errors + ours.transmit_drops == 0 && ours.receive_drops == [:])

        #expect(try await bed.run(Program.pvio, ["detach", "7", "vif0"]).errors == "")
        #expect(try await export.finish() == .exited(0), "\(export.errors)")
        #expect(try await bed.domains().first { $0.domid == 7 }?.isUnused == true)
        try await bed.stopDaemon()
      }
    }

    @Test func guestsOfASwitchReachThoseOfTheirOwnVLANOnly() async throws {
      try await withNetworkBed { bed, network in
        var guests: [String] = []
        for (number, vlan) in ["", "", ",vlan=10", ",vlan=10"].enumerated() {
          let name = try await network.make("g\(number)")
          guests.append(name)
          try await bed.pvio("attach", "7", "net", "switch=lan,id=net\(number)\(vlan)")
          _ = try await bed.exportTap("vif\(number)", in: name)
          try await network.setAddress(number + 1, of: "eth0", in: name)
        }
        let backends = Set(try await bed.devices().map(\.backend_pid))
        #expect(backends.count == 1, "a switch is one process")
        #expect(try await network.ping(2, from: guests[0]) == 3)
        #expect(try await network.ping(4, from: guests[2]) == 3)
        #expect(try await network.ping(3, from: guests[0], count: 2) == 0)
        #expect(try await network.ping(1, from: guests[3], count: 2) == 0)
        for number in guests.indices { try await bed.pvio("detach", "7", "vif\(number)") }
        // A switch without interfaces ends by itself.
        try await eventually("the switch has ended", within: .seconds(30)) {
          backends.compactMap { $0 }.allSatisfy { !processes(mentioning: bed.runDirectory).contains($0) }
        }
      }
    }

    /// A guest with a list of VLANs has them as interfaces of its own; what passes a port of a switch is counted there, and recorded.
    @Test func aTrunkGuestReachesItsVLANsAndAPortOfASwitchIsRecordedAndCounted() async throws {
      try await withNetworkBed { bed, network in
        let path = "\(bed.directory)/port.pcap"
        let guests = [try await network.make("trunk"), try await network.make("ten"), try await network.make("twenty")]
        var exports: [RunningProgram] = []
        for (number, port) in ["trunk=10+30,pcap=\(path)", "vlan=10", "vlan=20"].enumerated() {
          try await bed.pvio("attach", "7", "net", "switch=lan,id=net\(number),\(port)")
          exports.append(try await bed.exportTap("vif\(number)", in: guests[number]))
        }
        for guest in guests { try await bed.call("ip", "-n", guest, "link", "set", "eth0", "up") }
        // Without a VLAN interface, which not every kernel has: tagged frames by hand.
        let ten = try network.listen(for: "to-ten", on: "eth0", in: guests[1])
        let twenty = try network.listen(for: "to-twenty", on: "eth0", in: guests[2])
        let trunk = try network.listen(for: "to-trunk", on: "eth0", in: guests[0])
        for listener in [ten, twenty, trunk] { try await eventually("it listens") { listener.output.contains("ready") } }
        try await network.send("to-twenty", vlan: 20, on: "eth0", in: guests[0])
        try await network.send("to-ten", vlan: 10, on: "eth0", in: guests[0])
        try await network.send("to-trunk", vlan: nil, on: "eth0", in: guests[1])
        try await eventually("each VLAN has got its own") { ten.output.contains("got untagged") && trunk.output.contains("got 10") }
        #expect(!twenty.output.contains("got"))
        try await eventually("the port has counted what went through") {
          let net = try #require(try await bed.netStatus("net0").net)
          let port = try #require(net.port)
          return port.taken_frames == net.transmitted_frames && port.taken_bytes == net.transmitted_bytes && port.taken_frames >= 2
            && port.delivered_frames == net.received_frames && (port.drops["wrong_vlan"] ?? 0) > 0
            && port.recording?.frames == net.transmitted_frames + net.received_frames && port.recording?.missed == 0
        }
        #expect(try await bed.pvio("status", "net0").contains("recorded:"))
        let refused = try await bed.run(Program.pvio, ["attach", "7", "net", "switch=lan,id=net9,pcap=/nowhere/port.pcap"])
        #expect(refused.ending == .exited(1) && refused.errorLines.count == 1 && refused.errors.contains("cannot record to"), "\(refused.errors)")
        try await network.send("to-trunk", vlan: nil, on: "eth0", in: guests[1])
        try await eventually("the others go on") { trunk.output.matches(of: /got 10/).count == 2 }
        try await bed.pvio("detach", "7", "vif0")
        #expect(try await exports[0].finish() == .exited(0))
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count > 24 + 4 * (16 + 60))
      }
    }

    /// An interface of the host as the uplink: here one end of a veth pair, whose other end is a host of its own.
    @Test func aSwitchReachesTheOutsideThroughAPacketSocket() async throws {
      try await withNetworkBed { bed, network in
        let edge = try await network.make("edge")
        let outside = try await network.make("outside")
        try await bed.call("ip", "-n", edge, "link", "add", "up0", "type", "veth", "peer", "name", "out0", "netns", outside)
        try await bed.call("ip", "-n", edge, "link", "set", "up0", "up")
        try await network.setAddress(9, of: "out0", in: outside)
        let process = try bed.start(Program.pvio, ["backend", "net", "--switch", "lan", "--uplink", "packet=up0,netns=\(edge)", "--no-learning"])
        try await bed.waitForLine("pvio switch ready", of: process)
        var guests: [String] = []
        for (number, vlan) in [",trunk=untagged", ",trunk=untagged", ",vlan=10"].enumerated() {
          guests.append(try await network.make("g\(number)"))
          try await bed.pvio("attach", "7", "net", "switch=lan,id=net\(number)\(vlan)")
          _ = try await bed.exportTap("vif\(number)", in: guests[number])
          try await network.setAddress(number + 1, of: "eth0", in: guests[number])
        }
        #expect(try await network.ping(9, from: guests[0]) == 3)
        #expect(try await network.ping(2, from: outside) == 3)
        #expect(try await network.ping(2, from: guests[0]) == 3, "guests among themselves")
        #expect(try await network.ping(9, from: guests[2], count: 1) == 0, "another VLAN")

        // Large frames both ways: a download that is compared, from the outside and from a guest.
        let content = try await bed.randomImage(megabytes: 24)
        for (place, address, client) in [(outside, 9, guests[0]), (guests[1], 2, outside)] {
          try await network.expectDownload(of: content, from: place, at: address, to: client)
        }

        // The VLAN has its tag on the wire, both ways.
        let listener = try network.listen(for: "from-ten", on: "out0", in: outside)
        let guest = try network.listen(for: "to-ten", on: "eth0", in: guests[2])
        let other = try network.listen(for: "to-ten", on: "eth0", in: guests[0])
        for program in [listener, guest, other] { try await eventually("it listens") { program.output.contains("ready") } }
        try await network.send("from-ten", vlan: nil, on: "eth0", in: guests[2])
        try await network.send("to-ten", vlan: 10, on: "out0", in: outside)
        try await eventually("both have arrived") { listener.output.contains("got 10") && guest.output.contains("got untagged") }
        #expect(!other.output.contains("got"))

        // Nothing is lost, and the figures agree with the kernel's.
        try await eventually("the uplink is accounted for") {
          let listing = try JSONDecoder().decode(NetStatusListing.self, from: Data(try await bed.pvio("status", "--json", "net0").utf8))
          let uplink = try #require(listing.switches.first?.uplink)
          let port = try #require(uplink.port)
          let counters = try await network.counters(of: "up0", in: edge)
          return uplink.carrier && port.taken_frames == counters.sent.packets && port.taken_bytes == counters.sent.bytes
            && port.delivered_frames == counters.received.packets && port.drops == [:] && uplink.at_switch.delivered_frames == port.taken_frames
            && listing.switches.first?.learning == false
        }
        try await bed.call("ip", "-n", outside, "link", "set", "out0", "down")
        try await eventually("the uplink's link is seen to be down") {
          let listing = try JSONDecoder().decode(NetStatusListing.self, from: Data(try await bed.pvio("status", "--json", "net0").utf8))
          return listing.switches.first?.uplink?.carrier == false
        }
        try await network.setAddress(8, of: "out0", in: outside)
        try await eventually("and up again") { try await network.ping(9, from: guests[0]) == 3 }
      }
    }

    @Test func anInterfaceIsUnpluggedAndPluggedAgainUnderTraffic() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        let guest = try await network.make("guest")
        let spec = "tap=tap0,netns=\(host),mac=00:16:3e:00:00:07,id=net0"
        try await bed.call("ip", "-n", host, "tuntap", "add", "tap0", "mode", "tap")
        try await network.setAddress(1, of: "tap0", in: host)
        try await bed.pvio("attach", "7", "net", spec)
        var export = try await bed.exportTap(in: guest)
        try await network.setAddress(2, of: "eth0", in: guest)
        let traffic = try network.start(host, "ping", "-n", "-i", "0.01", "10.77.0.2")
        try await eventually("traffic has begun") { traffic.output.contains("bytes from") }
        // The front-end's pages are kept mapped: all of them, each time, and nothing besides.
        let mapped = try await bed.settledMappedPages("net0")
        for _ in 1...3 {
          #expect(try await bed.run(Program.pvio, ["detach", "7", "vif0"]).errors == "")
          #expect(try await export.finish() == .exited(0), "\(export.errors)")
          #expect(try await network.hasCarrier("tap0", in: host) == false)
          try await bed.pvio("attach", "7", "net", spec)
          export = try await bed.exportTap(in: guest)
          try await network.setAddress(2, of: "eth0", in: guest)
          let before = traffic.output.utf8.count
          try await eventually("traffic goes on") { traffic.output.utf8.count > before }
        }
        traffic.kill()
        #expect(try await bed.settledMappedPages("net0") == mapped)
      }
    }

    @Test func aBackEndThatIsKilledTakesTheLinkDownUntilAnotherOneIsStarted() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        let guest = try await network.make("guest")
        let spec = "tap=tap0,netns=\(host),mac=00:16:3e:00:00:07,id=net0"
        try await bed.pvio("attach", "7", "net", spec)
        let export = try await bed.exportTap(in: guest)
        try await network.setAddress(2, of: "eth0", in: guest)
        let process = try #require(try await bed.device("net0").backend_pid)
        kill(process, SIGKILL)
        try await eventually("the guest sees its link down") { try await network.hasCarrier("eth0", in: guest) == false }
        try await eventually("status names the dead end") {
          let diagnosis = try await bed.netStatus("net0").diagnosis
          return diagnosis.contains("the back-end's process is gone") && diagnosis.contains("pvio backend net --domain 7 --device vif0 --net tap=tap0")
        }
        let second = try bed.start(Program.pvio, ["backend", "net", "--domain", "7", "--device", "vif0", "--net", spec])
        try await bed.waitForStates(4, 4, of: "net0")
        try await network.setAddress(1, of: "tap0", in: host)
        try await eventually("the link is up again") { try await network.hasCarrier("eth0", in: guest) }
        #expect(try await network.ping(1, from: guest) == 3)
        #expect(export.isRunning && second.isRunning)
      }
    }

    @Test func whatCannotBeServedIsRefusedInOneLineThatSaysWhatToDo() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        try await bed.call("ip", "-n", host, "tuntap", "add", "small", "mode", "tap")
        try await bed.call("ip", "-n", host, "link", "add", "dummy", "type", "bridge")
        let address = try await bed.call("ip", "-n", host, "-o", "link", "show", "dev", "small").firstMatch(of: /ether ([0-9a-f:]+)/)?.1 ?? ""
        for (spec, reason) in [
          ("tap=tap0,netns=pvio-none", "network namespace pvio-none does not exist"),
          ("tap=small,netns=\(host),queues=2", "has one queue only"),
          ("tap=small,netns=\(host),mtu=9000", "has an MTU of 1500 and 9000 was asked for"),
          ("tap=small,netns=\(host),mac=\(address)", "give the device another one with mac="),
          ("tap=dummy,netns=\(host)", "is not a TAP interface"),
          ("packet=none,netns=\(host)", "interface none does not exist in network namespace"),
          ("packet=dummy,netns=\(host),mtu=9000", "has an MTU of 1500 and 9000 was asked for"),
        ] {
          let outcome = try await bed.run(Program.pvio, ["attach", "7", "net", spec])
          #expect(outcome.ending == .exited(1) && outcome.errorLines.count == 1 && outcome.errors.contains(reason), "\(spec): \(outcome.errors)")
        }
        for (spec, reason) in [
          ("tap=", "needs a value"), ("tap=name-of-sixteen-chars", "1 to 15"), ("switch=a,tap=b", "exactly one of"), ("null,vlan=3", "switch port"), ("packet=lo,tap=b", "exactly one of"), ("null,netns=x", "interface of the host"), ("null,trunk=3", "switch port"),
          ("switch=a,trunk=3-1", "VLANs such as"), ("switch=a,vlan=3,trunk=4", "exclude each other"),
          ("tap=a,mac=01:00:00:00:00:01", "an address such as"), ("null,rate=5", "bytes and microseconds"), ("null,queues=0", "1 to 16"),
          ("null,bogus=1", "unknown key 'bogus'"),
        ] {
          let outcome = try await bed.run(Program.pvio, ["attach", "7", "net", spec])
          #expect(outcome.ending == .exited(2) && outcome.errorLines.count == 1 && outcome.errors.contains(reason), "\(spec): \(outcome.errors)")
        }
        #expect(try await bed.devices() == [])

        try await bed.pvio("attach", "7", "net", "tap=taken,netns=\(host)")
        let second = try await bed.run(Program.pvio, ["attach", "7", "net", "tap=taken,netns=\(host),id=other"])
        #expect(second.ending == .exited(1) && second.errors.contains("in use by another program"), "\(second.errors)")
      }
    }

    @Test func aRateLimitHoldsForTheGuest() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        let guest = try await network.make("guest")
        // 20 MB/s, in windows of 50 ms.
        try await bed.pvio("attach", "7", "net", "tap=tap0,netns=\(host),id=net0,rate=1000000,50000")
        _ = try await bed.exportTap(in: guest)
        try await network.setAddress(1, of: "tap0", in: host)
        try await network.setAddress(2, of: "eth0", in: guest)
        let sink = try network.start(
          host, "python3", "-c", "import socket\ns=socket.create_server(('10.77.0.1',9000))\nc=s.accept()[0]\nwhile c.recv(1<<20): pass")
        let source = try network.start(
          guest, "python3", "-c",
          "import socket,time\nfor i in range(50):\n try: c=socket.create_connection(('10.77.0.1',9000)); break\n except OSError: time.sleep(.1)\nwhile 1: c.send(bytes(1<<16))")
        try await eventually("the burst is over") { try await bed.netStatus("net0").net?.transmitted_bytes ?? 0 > 8_000_000 }
        let before = (bytes: try #require(try await bed.netStatus("net0").net?.transmitted_bytes), time: ContinuousClock.now)
        try await Task.sleep(for: .seconds(3))
        let after = try #require(try await bed.netStatus("net0").net?.transmitted_bytes)
        let seconds = (ContinuousClock.now - before.time) / .seconds(1)
        let rate = Double(after - before.bytes) / seconds / 20e6
        // Exact in the long run (unit tests, virtual time); here both ends of the measurement may be a status file's half second late.
        #expect(rate > 0.7 && rate < 1.25, "\(rate) of the limit")
        source.kill()
        sink.kill()
      }
    }

    /// Read by a program that nobody here wrote; without it, the file's own header is looked at.
    @Test func whatPassesIsRecorded() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        let guest = try await network.make("guest")
        let path = "\(bed.directory)/frames.pcap"
        try await bed.pvio("attach", "7", "net", "tap=tap0,netns=\(host),id=net0,pcap=\(path)")
        let export = try await bed.exportTap(in: guest)
        try await network.setAddress(1, of: "tap0", in: host)
        try await network.setAddress(2, of: "eth0", in: guest)
        #expect(try await network.ping(1, from: guest, count: 3) == 3)
        try await bed.pvio("detach", "7", "vif0")
        #expect(try await export.finish() == .exited(0))
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        #expect(Array(bytes.prefix(4)) == [0x4d, 0x3c, 0xb2, 0xa1] && bytes.count > 24 + 6 * (16 + 98))
        // Records lie one behind the other, to the last byte.
        var offset = 24
        var echoes = 0
        while offset + 16 <= bytes.count {
          let count = (0..<4).reduce(0) { $0 | Int(bytes[offset + 8 + $1]) << (8 * $1) }
          let frame = bytes[(offset + 16)..<min(bytes.count, offset + 16 + count)]
          if frame.count >= 35, frame[frame.startIndex + 23] == 1 { echoes += 1 }
          offset += 16 + count
        }
        #expect(offset == bytes.count && echoes == 6, "\(echoes) echo requests and replies")
        if Program.arePresent("tshark") {
          #expect(try await bed.call("tshark", "-r", path, "-Y", "icmp").split(separator: "\n").count == 6)
        }
      }
    }

    @Test func theRateMayChangeAtAnyTime() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        let guest = try await network.make("guest")
        try await bed.pvio("attach", "7", "net", "tap=tap0,netns=\(host),id=net0")
        _ = try await bed.exportTap(in: guest)
        try await network.setAddress(1, of: "tap0", in: host)
        try await network.setAddress(2, of: "eth0", in: guest)
        #expect(try await network.ping(1, from: guest) == 3)
        // After the burst of 128 KiB, a byte a second: nothing goes through any more.
        try await bed.pvio("store", "write", "/local/domain/0/backend/vif/7/0/rate", "1,1000000")
        try await eventually("the burst is spent") {
          _ = try await network.run(guest, "ping", "-n", "-f", "-c", "200", "-s", "1400", "-w", "1", "10.77.0.1")
          return try await network.ping(1, from: guest, count: 1) == 0
        }
        try await bed.pvio("store", "rm", "/local/domain/0/backend/vif/7/0/rate")
        try await eventually("there is no limit") { try await network.ping(1, from: guest) == 3 }
      }
    }

    @Test func theGuestMayAskForAMulticastFilterAtAnyTime() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        let guest = try await network.make("guest")
        try await bed.pvio("attach", "7", "net", "tap=tap0,netns=\(host),id=net0")
        _ = try await bed.exportTap(in: guest)
        try await network.setAddress(1, of: "tap0", in: host)
        try await network.setAddress(2, of: "eth0", in: guest)
        #expect(try await bed.pvio("store", "read", "/local/domain/0/backend/vif/7/0/feature-dynamic-multicast-control").contains("1"))
        try await bed.pvio("store", "write", "--domain", "7", "/local/domain/7/device/vif/0/request-multicast-control", "1")
        try await eventually("a group that the guest has not asked for is filtered") {
          _ = try await network.run(host, "ping", "-n", "-c", "1", "-W", "1", "-I", "tap0", "224.0.0.1")
          return (try await bed.netStatus("net0").net?.receive_drops["filtered"] ?? 0) > 0
        }
        try await bed.pvio("store", "write", "--domain", "7", "/local/domain/7/device/vif/0/request-multicast-control", "0")
        try await eventually("without the filter all groups come") {
          let before = try #require(try await bed.netStatus("net0").net?.receive_drops["filtered"])
          _ = try await network.run(host, "ping", "-n", "-c", "1", "-W", "1", "-I", "tap0", "224.0.0.1")
          try await Task.sleep(for: .milliseconds(700))
          return try await bed.netStatus("net0").net?.receive_drops["filtered"] == before
        }
      }
    }

    @Test func runServesAnInterfaceForOneCommand() async throws {
      try await withTestBed(daemon: false) { bed in
        let network = NetworkNamespaces(bed)
        defer { network.close() }
        let guests = [try await network.make("a"), try await network.make("b")]
        let script = """
          ip -n \(guests[0]) address add 10.77.0.1/24 dev $PVIO_NET0_TAP && ip -n \(guests[1]) address add 10.77.0.2/24 dev $PVIO_NET1_TAP &&
          ip netns exec \(guests[0]) ping -n -c 2 -i 0.1 -W 2 10.77.0.2
          """
        let outcome = try await bed.run(
          Program.pvio,
          ["run", "--net", "switch=lan,export=tap:left@\(guests[0])", "--net", "switch=lan,export=tap:right@\(guests[1])", "--", "sh", "-c", script])
        #expect(outcome.succeeded && outcome.output.contains("2 received"), "\(outcome.output)\(outcome.errors)")
        #expect(outcome.errors == "")
        #expect(bed.filesLeft == [])
      }
    }
  }
}
