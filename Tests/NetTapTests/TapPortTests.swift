import EventLoop
import LinuxSystem
import NetEngine
import NetPackets
import NetTap
import SharedMemory
import Testing

/// A guest as a port sees it, without rings: keeps copies of the tests' own frames, and can be full.
private final class TestGuest: NetPortClient {
  var received: [(bytes: [UInt8], queue: Int, offload: FrameOffload)] = []
  var limit = Int.max
  var refusals = 0
  var ends = 0
  var transmitted: [Bool] = []
  var carriers: [Bool] = []
  /// Takes everything, not only the tests' own frames.
  var takesAll = false

  override func receive(_ frame: Frame, queue: Int) -> ReceiveOutcome {
    guard takesAll || (frame.byteCount >= 14 && frame.head.copyOut(at: 12, byteCount: 2) == CollectingClient.protocolNumber) else {
      return .dropped
    }
    guard received.count < limit else {
      refusals += 1
      return .full
    }
    let copy = privateBytes(frame.byteCount)
    frame.copy(from: 0, byteCount: frame.byteCount, to: copy, at: 0)
    received.append((copy.copyOut(at: 0, byteCount: frame.byteCount), queue, frame.offload))
    return .delivered
  }
  override func endOfReceiveBatch() { ends += 1 }
  override func transmitted(_ frame: Frame, succeeded: Bool) { transmitted.append(succeeded) }
  override func carrierChanged(isUp: Bool) { carriers.append(isUp) }
}

/// A TAP interface as the other side of a vif.
@Suite(.serialized, .enabled(if: Sandbox.isPossible && Sandbox.python, "needs root, /dev/net/tun, ip (package iproute2) and python3"))
struct TapPortTests {
  private struct Open {
    let sandbox: Sandbox
    let loop: EventLoop
    let port: TapPort
    let guest = TestGuest()

    init(queueCount: Int = 1) throws {
      sandbox = try Sandbox()
      loop = try EventLoop(name: "port")
      port = try TapPort(try TapInterface.open(sandbox.configuration("t0", queueCount: queueCount)), on: loop)
    }

    func disconnect() {
      var done = false
      port.disconnect { done = true }
      #expect(loop.turn(until: { done }))
    }

    func finish() {
      disconnect()
      port.close()
      for _ in 0..<3 { loop.turn(maySleep: false) }
      loop.shutDown()
    }

    /// Whether the interface's users see the cable plugged in.
    var hasHostCarrier: Bool { get throws { try !sandbox.ip("link", "show", "t0").contains("NO-CARRIER") } }
  }

  @Test func theHostSeesACarrierOnlyWhileAGuestIsConnectedAndTakesFrames() throws {
    let open = try Open()
    #expect(try !open.hasHostCarrier)
    for _ in 0..<2 {
      try open.port.connect(open.guest, accepting: .all, queueCount: 1)
      #expect(try open.hasHostCarrier)
      open.port.guestStalled(true)
      #expect(try !open.hasHostCarrier)
      open.port.guestStalled(false)
      #expect(try open.hasHostCarrier)
      open.disconnect()
      #expect(try !open.hasHostCarrier)
    }
    open.finish()
    try open.sandbox.waitUntilGone("t0")
  }

  @Test func aSecondVifIsRefused() throws {
    let open = try Open()
    try open.port.connect(open.guest, accepting: .all, queueCount: 1)
    #expect(throws: NetPortError.busy("TAP interface t0")) { try open.port.connect(TestGuest(), accepting: .all, queueCount: 1) }
    open.finish()
  }

  @Test func theGuestMustNotHaveTheAddressOfTheInterface() throws {
    let sandbox = try Sandbox()
    let loop = try EventLoop(name: "port")
    var configuration = sandbox.configuration("t0")
    let address = MACAddress(rawValue: 0x0200_0000_0a0b)
    configuration.address = address
    let tap = try TapInterface.open(configuration)
    #expect(throws: NetPortError.failed(TapError.addressClash(name: "t0", address: "02:00:00:00:0a:0b").description)) {
      _ = try TapPort(tap, guestAddress: address, on: loop)
    }
    loop.shutDown()
  }

  @Test func framesGoBothWaysAndAFullGuestLosesNone() throws {
    let open = try Open()
    open.guest.limit = 2
    try open.port.connect(open.guest, accepting: .all, queueCount: 1)
    let sizes = [60, 1514, 300, 64, 1000]
    let sender = try open.sandbox.sendFrames(sizes)
    #expect(open.loop.turn(until: { open.guest.refusals == 1 }))
    #expect(sender.status == 0, "\(sender.text)")
    open.guest.limit = .max
    open.port.receiveReady(queue: 0)
    #expect(open.loop.turn(until: { open.guest.received.count == sizes.count }))
    #expect(open.guest.received.enumerated().allSatisfy { $1.bytes == testBytes($0, byteCount: sizes[$0]) && $1.queue == 0 })
    #expect(open.guest.ends > 0)

    let receiver = try open.sandbox.python(TapFrameTests.receiver, "2")
    try waitUntil { receiver.partialText.contains("ready") || receiver.hasEnded }
    let frames = [60, 1200].enumerated().map { makeFrame($0, testBytes($0, byteCount: $1)) }
    #expect(frames.map { open.port.transmit($0, queue: 0) } == [.done, .pending])
    #expect(open.loop.turn(until: { receiver.hasEnded && open.port.statistics[0].sentFrames == 2 }))
    #expect(receiver.text.split(separator: "\n").map { $0.split(separator: " ")[0] } == ["ready", "60", "1200"])
    #expect(open.guest.transmitted == [true])
    #expect(open.port.statistics[0].sentFrames == 2 && open.port.report?.statistics.receivedPackets == 2)
    open.finish()
  }

  @Test func aFrameWhoseHeadersContradictItsOffloadIsNotPassedOn() throws {
    let open = try Open()
    try open.port.connect(open.guest, accepting: .all, queueCount: 1)
    let frame = makeFrame(0, testBytes(0, byteCount: 300))
    frame.offload.needsChecksum = true
    #expect(open.port.transmit(frame, queue: 0) == .dropped)
    frame.reset(headByteCount: 256)
    frame.offload.segmentation = .tcpv4
    frame.offload.segmentByteCount = 1000
    #expect(open.port.transmit(frame, queue: 0) == .dropped)
    #expect(open.port.malformedFrames == 2)
    open.finish()
  }

  @Test func datagramsComeInOneFrameToAGuestThatTakesThem() throws {
    let open = try Open()
    try #require(open.port.capabilities.isSuperset(of: .datagrams), "this test needs Linux 6.2")
    open.guest.takesAll = true
    try open.sandbox.ip("addr", "add", "10.97.0.1/24", "dev", "t0")
    try open.sandbox.ip("neigh", "add", "10.97.0.2", "lladdr", "02:00:00:00:00:77", "dev", "t0")
    for (accepting, lengths) in [
      (.all.union(.datagrams), [2542]), (.all, [1042, 1042, 542]), (.all.union(.datagramsV4), [1042, 1042, 542]), (.all.union(.datagrams), [2542]),
    ] as [(FrameCapabilities, [Int])] {
      open.guest.received = []
      try open.port.connect(open.guest, accepting: accepting, queueCount: 1)
      let sender = try open.sandbox.python(TapTrafficTests.datagrams, "send", "10.97.0.2", "2500")
      #expect(open.loop.turn(until: { open.guest.received.count >= lengths.count }))
      #expect(sender.status == 0, "\(sender.text)")
      #expect(open.guest.received.map(\.bytes.count) == lengths)
      #expect(open.guest.received.allSatisfy { ($0.offload.segmentation == .datagrams) == (lengths.count == 1) })
      open.disconnect()
    }
    open.finish()
  }

  @Test func aGuestWithFewerQueuesGetsAllFramesAndOneWithMoreLosesNone() throws {
    let open = try Open(queueCount: 2)
    open.guest.takesAll = true
    try open.sandbox.ip("addr", "add", "10.97.0.1/24", "dev", "t0")
    try open.sandbox.ip("neigh", "add", "10.97.0.2", "lladdr", "02:00:00:00:00:77", "dev", "t0")
    for (queueCount, used) in [(1, 0..<1), (2, 0..<2), (4, 0..<2)] {
      open.guest.received = []
      try open.port.connect(open.guest, accepting: [], queueCount: queueCount)
      let sender = try open.sandbox.python(TapTrafficTests.flows, "32")
      #expect(open.loop.turn(until: { open.guest.received.count >= 32 }))
      #expect(sender.status == 0, "\(sender.text)")
      #expect(Set(open.guest.received.map(\.queue)) == Set(used))
      for queue in 0..<queueCount { #expect(open.port.transmit(makeFrame(queue, testBytes(queue, byteCount: 60)), queue: queue) == .done) }
      open.disconnect()
    }
    #expect(open.port.statistics.map(\.sentFrames) == [4, 3])
    open.finish()
  }

  /// Sends one datagram.
  static let offloadTraffic = """
    from socket import *
    s = socket(AF_INET, SOCK_DGRAM)
    s.sendto(b"x" * 100, ("10.97.0.2", 9))
    """

  @Test func aGuestThatTakesNoChecksumsGetsFinishedOnes() throws {
    let open = try Open()
    open.guest.takesAll = true
    try open.sandbox.ip("addr", "add", "10.97.0.1/24", "dev", "t0")
    try open.sandbox.ip("neigh", "add", "10.97.0.2", "lladdr", "02:00:00:00:00:77", "dev", "t0")
    for (accepting, isUnfinished) in [([], false), (FrameCapabilities.all, true), ([], false)] as [(FrameCapabilities, Bool)] {
      open.guest.received = []
      try open.port.connect(open.guest, accepting: accepting, queueCount: 1)
      let sender = try open.sandbox.python(Self.offloadTraffic)
      #expect(open.loop.turn(until: { !open.guest.received.isEmpty }))
      #expect(sender.status == 0, "\(sender.text)")
      #expect(open.guest.received[0].offload.needsChecksum == isUnfinished)
      open.disconnect()
    }
    open.finish()
  }

  @Test func aGuestThatTakesOneFamilysChecksumsGetsTheOthersFinished() throws {
    let open = try Open()
    open.guest.takesAll = true
    try open.sandbox.ip("addr", "add", "10.97.0.1/24", "dev", "t0")
    try open.sandbox.ip("neigh", "add", "10.97.0.2", "lladdr", "02:00:00:00:00:77", "dev", "t0")
    for (accepting, isUnfinished) in [([.checksumV4], true), ([.checksumV6], false)] as [(FrameCapabilities, Bool)] {
      open.guest.received = []
      try open.port.connect(open.guest, accepting: accepting, queueCount: 1)
      let sender = try open.sandbox.python(Self.offloadTraffic)
      #expect(open.loop.turn(until: { !open.guest.received.isEmpty }))
      #expect(sender.status == 0, "\(sender.text)")
      let frame = open.guest.received[0]
      #expect(frame.offload.needsChecksum == isUnfinished)
      if !isUnfinished {
        // Addresses, protocol and length, and all of the datagram with its checksum, add up to 0xffff.
        let words = Array(frame.bytes[26...])
        var sum = 17 + words.count - 8
        for index in stride(from: 0, to: words.count, by: 2) { sum += Int(words[index]) << 8 + (index + 1 < words.count ? Int(words[index + 1]) : 0) }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        #expect(sum == 0xffff)
      }
      open.disconnect()
    }
    open.finish()
  }

  @Test func theGuestIsToldWhenTheInterfaceIsSwitchedOffOrRemoved() throws {
    let open = try Open()
    try open.port.connect(open.guest, accepting: .all, queueCount: 1)
    #expect(open.port.hasCarrier)
    try open.sandbox.ip("link", "set", "t0", "down")
    #expect(open.loop.turn(until: { open.guest.carriers == [false] }))
    #expect(!open.port.hasCarrier)
    try open.sandbox.ip("link", "set", "t0", "up")
    #expect(open.loop.turn(until: { open.guest.carriers == [false, true] }))
    try open.sandbox.ip("link", "delete", "t0")
    #expect(open.loop.turn(until: { open.guest.carriers == [false, true, false] }))
    #expect(open.port.transmit(makeFrame(0, testBytes(0, byteCount: 60)), queue: 0) == .dropped)
    open.finish()
  }
}
