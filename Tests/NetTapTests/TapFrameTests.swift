import EventLoop
import LinuxSystem
import NetPackets
import NetTap
import Testing

/// Frames in and out, byte for byte, against raw sockets of another program.
@Suite(.serialized, .enabled(if: Sandbox.isPossible && Sandbox.python, "needs root, /dev/net/tun, ip (package iproute2) and python3"))
struct TapFrameTests {
  /// Sends frames of the tests' own protocol: sizes from the arguments, numbered from 0.
  static let sender = """
    from socket import *
    from sys import argv
    s = socket(AF_PACKET, SOCK_RAW)
    s.bind(("t0", 0))
    for number, size in enumerate(map(int, argv[1:])):
        body = bytes((i * 7 + number * 131 + (i >> 8)) & 255 for i in range(max(0, size - 14)))
        s.send((b"\\xff" * 6 + b"\\x02\\0\\0\\0\\0\\x09\\x88\\xb5" + body)[:size])
    """

  /// Prints the length and a digest of each of `argv[1]` frames.
  static let receiver = """
    from socket import *
    from sys import argv
    s = socket(AF_PACKET, SOCK_RAW, htons(0x88b5))
    s.bind(("t0", 0x88b5))
    s.settimeout(20)
    print("ready", flush=True)
    for _ in range(int(argv[1])):
        frame = s.recv(70000)
        print(len(frame), sum(b * (i % 251 + 1) for i, b in enumerate(frame)), flush=True)
    """

  private static func digest(_ bytes: [UInt8]) -> Int {
    bytes.enumerated().reduce(0) { $0 + Int($1.element) * ($1.offset % 251 + 1) }
  }

  private struct Open {
    let sandbox: Sandbox
    let loop: EventLoop
    let tap: TapInterface
    let client = CollectingClient()

    init(mtu: Int? = nil, queueCount: Int = 1) throws {
      sandbox = try Sandbox()
      loop = try EventLoop(name: "tap")
      var configuration = sandbox.configuration("t0", queueCount: queueCount)
      configuration.mtu = mtu
      tap = try TapInterface.open(configuration)
      try tap.setCarrier(true)
    }

    func finish() {
      for queue in tap.queues {
        var stopped = false
        queue.stop { stopped = true }
        #expect(loop.turn(until: { stopped }))
      }
      loop.shutDown()
    }
  }

  @Test func framesOfEverySizeArriveAsTheyWereSent() throws {
    let open = try Open(mtu: 65_517)
    let sizes = [14, 60, 64, 255, 256, 257, 1514, 4095, 4096, 9014, 65_531]
    open.tap.queues[0].start(open.client, on: open.loop)
    let sender = try open.sandbox.sendFrames(sizes)
    #expect(open.loop.turn(until: { open.client.received.count == sizes.count || (sender.hasEnded && sender.status != 0) }))
    #expect(sender.status == 0, "\(sender.text)")
    #expect(open.client.received.map(\.bytes.count) == sizes)
    for (number, frame) in open.client.received.enumerated() {
      #expect(frame.bytes == testBytes(number, byteCount: sizes[number]), "frame of \(sizes[number]) bytes")
      #expect(frame.offload == FrameOffload())
    }
    #expect(open.client.ends > 0 && open.client.ends <= sizes.count)
    let statistics = open.tap.queues[0].statistics
    #expect(statistics.receivedFrames == UInt64(sizes.count) && statistics.receivedByteCount == UInt64(sizes.reduce(0, +)))
    #expect(statistics.drops.total == statistics.drops(.refused))
    open.finish()
  }

  @Test func framesOfEverySizeLeaveAsTheyAre() throws {
    let open = try Open(mtu: 65_517)
    let sizes = [14, 60, 64, 255, 256, 257, 1514, 4095, 4096, 9014, 65_531]
    let queue = open.tap.queues[0]
    queue.start(open.client, on: open.loop)
    let receiver = try open.sandbox.python(Self.receiver, "\(sizes.count)")
    try waitUntil { receiver.partialText.contains("ready") || receiver.hasEnded }
    let frames = sizes.enumerated().map { makeFrame($0, testBytes($0, byteCount: $1)) }
    let outcomes = frames.map { queue.transmit($0) }
    #expect(outcomes == sizes.map { $0 <= Frame.headCapacity ? .done : .pending })
    #expect(open.loop.turn(until: { receiver.hasEnded && queue.statistics.sentFrames == UInt64(sizes.count) }))
    let lines = receiver.text.split(separator: "\n").dropFirst()
    #expect(Array(lines) == sizes.enumerated().map { "\($1) \(Self.digest(testBytes($0, byteCount: $1)))" }, "\(receiver.text)")
    #expect(open.client.transmitted == outcomes.filter { $0 == .pending }.map { _ in true })
    #expect(queue.statistics.sentFrames == UInt64(sizes.count) && queue.statistics.sentByteCount == UInt64(sizes.reduce(0, +)))
    let kernel = try open.tap.report().statistics
    #expect(kernel.receivedPackets == UInt64(sizes.count), "the kernel has counted the same")
    open.finish()
  }

  @Test func aFullClientLosesNothingAndGoesOnInOrder() throws {
    let open = try Open()
    let queue = open.tap.queues[0]
    let sizes = (0..<200).map { 60 + $0 * 7 }
    open.client.limit = 3
    queue.start(open.client, on: open.loop)
    let sender = try open.sandbox.sendFrames(sizes)
    while open.client.limit < sizes.count {
      #expect(open.loop.turn(until: { open.client.offered > open.client.limit }))
      // It was offered one more, and has not been asked again.
      let offered = open.client.offered
      for _ in 0..<5 { open.loop.turn(maySleep: false) }
      #expect(open.client.offered == offered)
      open.client.offered = open.client.received.count
      open.client.limit += 29
      queue.resume()
    }
    #expect(open.loop.turn(until: { open.client.received.count == sizes.count }))
    #expect(sender.status == 0, "\(sender.text)")
    #expect(open.client.received.enumerated().allSatisfy { $1.bytes == testBytes($0, byteCount: sizes[$0]) })
    #expect(queue.statistics.drops.total == 0)
    open.finish()
  }

  @Test func whatIsKeptForAClientWhenTheQueueStopsIsCounted() throws {
    let open = try Open()
    let queue = open.tap.queues[0]
    open.client.limit = 0
    queue.start(open.client, on: open.loop)
    let sender = try open.sandbox.sendFrames([60, 60])
    #expect(open.loop.turn(until: { open.client.offered > 0 }))
    #expect(sender.status == 0, "\(sender.text)")
    var stopped = false
    queue.stop { stopped = true }
    #expect(open.loop.turn(until: { stopped }))
    #expect(queue.statistics.drops(.stopped) == 1)
    // The second is still with the kernel: it comes when the queue serves again.
    open.client.limit = 1
    queue.start(open.client, on: open.loop)
    #expect(open.loop.turn(until: { open.client.received.count == 1 }))
    #expect(open.client.received[0].bytes == testBytes(1, byteCount: 60))
    open.finish()
  }

  @Test func framesThatAClientDoesNotWantAreCounted() throws {
    let open = try Open()
    open.client.refusesAll = true
    open.tap.queues[0].start(open.client, on: open.loop)
    let sender = try open.sandbox.sendFrames([60, 1514, 60])
    #expect(open.loop.turn(until: { open.client.offered == 3 }))
    #expect(sender.status == 0, "\(sender.text)")
    #expect(open.tap.queues[0].statistics.drops(.refused) == 3)
    #expect(open.tap.queues[0].statistics.receivedFrames == 0)
    open.finish()
  }

  @Test func whatCannotBeSentIsCountedByItsReason() throws {
    let open = try Open()
    let queue = open.tap.queues[0]
    #expect(queue.transmit(makeFrame(0, testBytes(0, byteCount: 60))) == .dropped)
    #expect(queue.statistics.drops(.notRunning) == 1)
    queue.start(open.client, on: open.loop)
    #expect(queue.transmit(makeFrame(0, testBytes(0, byteCount: 13))) == .dropped)
    let unknown = makeFrame(0, testBytes(0, byteCount: 60))
    unknown.offload.needsChecksum = true
    #expect(queue.transmit(unknown) == .dropped)
    #expect(queue.statistics.drops(.unsendable) == 2)
    // Its checksum would be outside of it: the kernel refuses it.
    let outside = makeFrame(1, testBytes(0, byteCount: 1000))
    outside.offload.needsChecksum = true
    outside.offload.checksumStart = 1200
    #expect(queue.transmit(outside) == .pending)
    #expect(open.loop.turn(until: { open.client.transmitted == [false] }))
    #expect(queue.statistics.drops(.unsendable) == 3)
    try open.tap.setUp(false)
    #expect(queue.transmit(makeFrame(2, testBytes(0, byteCount: 60))) == .done)
    #expect(queue.transmit(makeFrame(3, testBytes(0, byteCount: 600))) == .pending)
    #expect(open.loop.turn(until: { open.client.transmitted == [false, false] }))
    #expect(queue.statistics.drops(.interfaceDown) == 2 && queue.statistics.sentFrames == 0)
    open.finish()
  }

  @Test func moreFramesThanThereIsRoomForAreCounted() throws {
    let open = try Open()
    let queue = open.tap.queues[0]
    queue.start(open.client, on: open.loop)
    let room = TapTuning().writeCount
    // Nothing completes between two turns, so all stay in flight.
    let frame = makeFrame(0, testBytes(0, byteCount: 60))
    var outcomes = (done: 0, dropped: 0)
    for _ in 0..<room + 5 {
      if queue.transmit(frame) == .done { outcomes.done += 1 } else { outcomes.dropped += 1 }
    }
    #expect(outcomes == (room, 5) && queue.statistics.drops(.tooMany) == 5)
    #expect(open.loop.turn(until: { queue.statistics.sentFrames == UInt64(room) }))
    #expect(queue.transmit(frame) == .done)
    open.finish()
  }

  @Test func anInterfaceThatIsRemovedIsToldOfOnce() throws {
    let open = try Open()
    let queue = open.tap.queues[0]
    queue.start(open.client, on: open.loop)
    open.loop.turn(maySleep: false)
    try open.sandbox.ip("link", "delete", "t0")
    #expect(open.loop.turn(until: { open.client.removals > 0 }))
    for _ in 0..<5 { open.loop.turn(maySleep: false) }
    #expect(open.client.removals == 1)
    #expect(queue.transmit(makeFrame(0, testBytes(0, byteCount: 60))) == .dropped)
    open.finish()
  }
}
