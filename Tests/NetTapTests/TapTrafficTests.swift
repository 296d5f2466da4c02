import EventLoop
import LinuxSystem
import NetPackets
import NetTap
import Testing

/// The kernels of two namespaces talk to each other through two interfaces whose queues are joined.
@Suite(.serialized, .enabled(if: Sandbox.isPossible && Sandbox.python, "needs root, /dev/net/tun, ip (package iproute2) and python3"))
struct TapTrafficTests {
  private struct Joined {
    let sandbox: Sandbox
    let loop: EventLoop
    let taps: [TapInterface]
    let wires: [Wire]

    /// `speaksV6` false: nothing is sent unasked.
    init(
      queueCount: Int = 1, offloads: TapDevice.Offloads = [.checksum, .segmentationV4, .segmentationV6], bufferCount: Int = 64, speaksV6: Bool = true
    ) throws {
      let sandbox = try Sandbox(2)
      let loop = try EventLoop(name: "wire")
      let taps = try (0..<2).map { try TapInterface.open(sandbox.configuration("t0", in: $0, queueCount: queueCount)) }
      for (index, tap) in taps.enumerated() {
        try tap.setOffloads(offloads)
        try tap.setCarrier(true)
        try sandbox.ip("addr", "add", "10.97.0.\(index + 1)/24", "dev", "t0", in: index)
        guard speaksV6 else { continue }
        try Program.expect("ip", "netns", "exec", sandbox.names[index], "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/t0/disable_ipv6")
        try sandbox.ip("addr", "add", "fd97::\(index + 1)/64", "dev", "t0", "nodad", in: index)
      }
      wires = (0..<queueCount).map { Wire(taps[0].queues[$0], taps[1].queues[$0], bufferCount: bufferCount, on: loop) }
      self.sandbox = sandbox
      self.loop = loop
      self.taps = taps
    }

    func finish() {
      for wire in wires { #expect(wire.stop(loop)) }
      loop.shutDown()
    }
  }

  /// Sends `argv[2]` bytes to the address `argv[1]` and prints their digest; `listen` prints what has come.
  static let stream = """
    from socket import *
    from sys import argv
    from hashlib import sha256
    family = AF_INET6 if ":" in argv[2] else AF_INET
    digest = sha256()
    if argv[1] == "listen":
        l = create_server((argv[2], 5001), family=family)
        print("ready", flush=True)
        s, _ = l.accept()
        while data := s.recv(1 << 20): digest.update(data)
    else:
        s = create_connection((argv[2], 5001), timeout=20)
        block = bytes(range(256)) * 4096
        left = int(argv[3])
        while left:
            part = block[:min(left, len(block))]
            s.sendall(part)
            digest.update(part)
            left -= len(part)
        s.close()
    print(digest.hexdigest(), flush=True)
    """

  private func transfer(_ joined: Joined, to address: String, byteCount: Int) throws {
    let listener = try joined.sandbox.python(Self.stream, "listen", address, in: 1)
    #expect(joined.loop.turn(until: { listener.partialText.contains("ready") || listener.hasEnded }))
    let sender = try joined.sandbox.python(Self.stream, "send", address, "\(byteCount)", in: 0)
    #expect(joined.loop.turn(until: { listener.hasEnded && sender.hasEnded }))
    #expect(sender.status == 0 && listener.status == 0, "\(sender.text) \(listener.text)")
    #expect(listener.text == "ready\n" + sender.text)
  }

  @Test(arguments: ["10.97.0.2", "fd97::2"])
  func aStreamArrivesBitExactlyInLargeSegmentsWithoutChecksums(address: String) throws {
    let joined = try Joined()
    try transfer(joined, to: address, byteCount: 20 << 20)
    let relay = joined.wires[0].relays.0
    #expect(relay.largestFrame > 10_000, "segments of \(relay.largestFrame) bytes at most")
    #expect(relay.segmented.contains(address.contains(":") ? .tcpv6 : .tcpv4))
    #expect(relay.unfinishedChecksums > 0)
    for tap in joined.taps {
      // The kernel counts a frame when it moves it, we when a later turn takes the completion: the last ones are still being counted when the
      // programs have ended.
      var (ours, kernel) = (tap.queues[0].statistics, try tap.report().statistics)
      let agree = joined.loop.turn(until: {
        ours = tap.queues[0].statistics
        kernel = (try? tap.report().statistics) ?? kernel
        let receivedAgree = kernel.receivedPackets == ours.sentFrames && kernel.receivedByteCount == ours.sentByteCount
        return receivedAgree && kernel.sentPackets == ours.receivedFrames
      })
      #expect(agree, "the kernel has counted \(kernel), and we \(ours)")
      #expect(ours.drops.total == 0)
    }
    joined.finish()
  }

  @Test func withoutOffloadsEverythingIsFinishedAndFitsTheWire() throws {
    let joined = try Joined(offloads: [])
    try transfer(joined, to: "10.97.0.2", byteCount: 2 << 20)
    let relay = joined.wires[0].relays.0
    #expect(relay.largestFrame == 1514 && relay.segmented.isEmpty && relay.unfinishedChecksums == 0)
    joined.finish()
  }

  @Test func aStreamSurvivesThatThereAreFewBuffers() throws {
    let joined = try Joined(bufferCount: 1)
    try transfer(joined, to: "10.97.0.2", byteCount: 10 << 20)
    let relays = joined.wires[0].relays
    #expect(relays.0.waitCount + relays.1.waitCount > 0, "nobody ever had to wait")
    for tap in joined.taps { #expect(tap.queues[0].statistics.drops.total == 0) }
    joined.finish()
  }

  @Test(.enabled(if: Program.find("ping") != nil, "needs ping (package iputils-ping)"))
  func pingFindsTheOtherSide() throws {
    let joined = try Joined()
    for address in ["10.97.0.2", "fd97::2"] {
      let ping = try Program("ip", ["netns", "exec", joined.sandbox.names[0], "ping", "-c", "3", "-i", "0.01", "-s", "1400", address])
      #expect(joined.loop.turn(until: { ping.hasEnded }))
      #expect(ping.text.contains("3 received"), "\(ping.text)")
    }
    joined.finish()
  }

  /// Sends `argv[3]` bytes to the address `argv[2]` as datagrams of 1000 bytes, in one call (`UDP_SEGMENT`); `listen` prints how many of which length
  /// have come, and their digest.
  static let datagrams = """
    from socket import *
    from sys import argv
    from hashlib import sha256
    family = AF_INET6 if ":" in argv[2] else AF_INET
    s = socket(family, SOCK_DGRAM)
    count = int(argv[3])
    data = bytes(i * 7 % 251 for i in range(count))
    if argv[1] == "listen":
        s.bind((argv[2], 5001))
        s.settimeout(20)
        print("ready", flush=True)
        found = []
        while sum(map(len, found)) < count: found.append(s.recv(65536))
        print([len(x) for x in found], b"".join(found) == data, flush=True)
    else:
        s.setsockopt(17, 103, 1000)
        s.sendto(data, (argv[2], 5001))
    """

  @Test(arguments: ["10.97.0.2", "fd97::2"], [true, false])
  func datagramsGoInOneFrameWhereTheKernelKnowsThem(address: String, passesThem: Bool) throws {
    let joined = try Joined(offloads: passesThem ? [.checksum, .datagrams] : [.checksum])
    let listener = try joined.sandbox.python(Self.datagrams, "listen", address, "9500", in: 1)
    #expect(joined.loop.turn(until: { listener.partialText.contains("ready") || listener.hasEnded }))
    let sender = try joined.sandbox.python(Self.datagrams, "send", address, "9500", in: 0)
    #expect(joined.loop.turn(until: { listener.hasEnded && sender.hasEnded }))
    #expect(listener.text == "ready\n[1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 500] True\n", "\(sender.text) \(listener.text)")
    let relay = joined.wires[0].relays.0
    #expect(relay.segmented == (passesThem ? [.datagrams] : []))
    #expect(passesThem == (relay.largestFrame > 9500), "frames of \(relay.largestFrame) bytes at most")
    joined.finish()
  }

  /// Sends datagrams from `argv[1]` ports.
  static let flows = """
    from socket import *
    from sys import argv
    for port in range(int(argv[1])):
        s = socket(AF_INET, SOCK_DGRAM)
        s.bind(("10.97.0.1", 20000 + port))
        s.sendto(b"x" * 100, ("10.97.0.2", 9))
    """

  @Test func flowsSpreadOverTheQueuesThatAreActive() throws {
    let joined = try Joined(queueCount: 4, speaksV6: false)
    let tap = joined.taps[0]
    // An address that needs no asking: all that is sent are the datagrams.
    try joined.sandbox.ip("neigh", "add", "10.97.0.2", "lladdr", "02:00:00:00:00:77", "dev", "t0", in: 0)
    func send() throws -> [UInt64] {
      let before = tap.queues.map(\.statistics.receivedFrames)
      let total = before.reduce(0, +)
      let sender = try joined.sandbox.python(Self.flows, "64", in: 0)
      #expect(joined.loop.turn(until: { sender.hasEnded && tap.queues.map(\.statistics.receivedFrames).reduce(0, +) >= total + 64 }))
      #expect(sender.status == 0, "\(sender.text)")
      return zip(tap.queues.map(\.statistics.receivedFrames), before).map { $0 - $1 }
    }
    let spread = try send()
    #expect(spread.filter { $0 > 0 }.count >= 3, "\(spread)")
    try tap.setActiveQueueCount(1)
    let alone = try send()
    #expect(alone[0] >= 64 && alone[1...].allSatisfy { $0 == 0 }, "\(alone)")
    try tap.setActiveQueueCount(4)
    #expect(try send().filter { $0 > 0 }.count >= 3)
    joined.finish()
  }

  /// Sends to the address `argv[1]` until it is ended.
  static let flood = """
    from socket import *
    from sys import argv
    from time import sleep
    s = socket(AF_INET, SOCK_DGRAM)
    while True:
        try:
            s.sendto(b"x" * 1000, (argv[1], 9))
        except OSError:
            sleep(0.001)
    """

  @Test func aQueueStopsAndStartsAgainUnderTraffic() throws {
    let joined = try Joined()
    try joined.sandbox.ip("neigh", "add", "10.97.0.2", "lladdr", "02:00:00:00:00:77", "dev", "t0", in: 0)
    let flood = try joined.sandbox.python(Self.flood, "10.97.0.2", in: 0)
    let queue = joined.taps[0].queues[0]
    #expect(joined.loop.turn(until: { queue.statistics.receivedFrames > 0 }))
    for _ in 0..<50 {
      let received = queue.statistics.receivedFrames
      let wire = joined.wires[0]
      #expect(wire.stop(joined.loop))
      for _ in 0..<3 { joined.loop.turn(maySleep: false) }
      wire.start(joined.loop)
      #expect(joined.loop.turn(until: { queue.statistics.receivedFrames > received }))
    }
    flood.end()
    joined.finish()
    #expect(joined.taps[0].queues[0].statistics.lastFailure == nil)
  }
}
