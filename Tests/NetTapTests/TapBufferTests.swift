import EventLoop
import LinuxSystem
import NetPackets
import NetTap
import SharedMemory
import Testing

/// Gives the queue page-sized pieces to read into, of a few buffers that are used again when a test says so.
private final class BufferClient: TapQueueClient {
  static let pieceByteCount = 4096
  static let pieceCount = 17
  private(set) var free: [Frame] = []
  private var memories: [SharedBytes] = []
  private var held: [Frame] = []
  var received: [[UInt8]] = []
  var given = 0

  init(bufferCount: Int) {
    for index in 0..<bufferCount {
      let memory = privateBytes(Self.pieceCount * Self.pieceByteCount)
      memories.append(memory)
      let frame = Frame(index: index, head: privateBytes(Frame.headCapacity))
      frame.reset(headByteCount: 0)
      // The last page first: it is the pieces' order that counts.
      for piece in (0..<Self.pieceCount).reversed() {
        frame.append(memory.vector(at: piece * Self.pieceByteCount, byteCount: Self.pieceByteCount))
      }
      free.append(frame)
    }
  }

  override func buffer(for queue: TapQueue) -> Frame? {
    guard let frame = free.popLast() else { return nil }
    given += 1
    return frame
  }

  override func filled(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
    let copy = privateBytes(max(byteCount, 1))
    frame.copy(from: 0, byteCount: byteCount, to: copy, at: 0)
    let bytes = copy.copyOut(at: 0, byteCount: byteCount)
    guard Array(bytes[12..<14]) == CollectingClient.protocolNumber else {
      free.append(frame)
      return .dropped
    }
    received.append(bytes)
    held.append(frame)
    return .taken
  }

  /// What came in the queue's own memory.
  var staged = 0

  override func received(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
    let copy = privateBytes(max(byteCount, 1))
    frame.copy(from: 0, byteCount: byteCount, to: copy, at: 0)
    let bytes = copy.copyOut(at: 0, byteCount: byteCount)
    guard Array(bytes[12..<14]) == CollectingClient.protocolNumber else { return .dropped }
    received.append(bytes)
    staged += 1
    return .taken
  }

  override func unused(_ frame: Frame, on queue: TapQueue) { free.append(frame) }

  func giveBack() {
    free += held
    held = []
  }
}

/// Reads straight into memory of the client's.
@Suite(.serialized, .enabled(if: Sandbox.isPossible && Sandbox.python, "needs root, /dev/net/tun, ip (package iproute2) and python3"))
struct TapBufferTests {
  /// An interface whose frames are read into a few buffers of the client's.
  private struct Open {
    let sandbox: Sandbox
    let loop: EventLoop
    let tap: TapInterface
    let client: BufferClient
    let bufferCount: Int
    var queue: TapQueue { tap.queues[0] }

    /// - Parameter isStaged: small frames are read into the queue's own memory.
    init(mtu: Int? = nil, bufferCount: Int, isStaged: Bool = false) throws {
      sandbox = try Sandbox()
      loop = try EventLoop(name: "tap")
      client = BufferClient(bufferCount: bufferCount)
      self.bufferCount = bufferCount
      var configuration = sandbox.configuration("t0")
      configuration.mtu = mtu
      var tuning = TapTuning()
      tuning.reading = .provided
      if !isStaged { tuning.stagedByteCount = -1 }
      tap = try TapInterface.open(configuration, tuning: tuning)
      try tap.setCarrier(true)
    }

    /// Sends frames, and waits until all of them are with the kernel.
    func send(_ sizes: [Int]) throws {
      let sender = try sandbox.sendFrames(sizes)
      #expect(sender.status == 0, "\(sender.text)")
    }

    func finish() {
      var stopped = false
      queue.stop { stopped = true }
      #expect(loop.turn(until: { stopped }))
      client.giveBack()
      #expect(client.free.count == bufferCount, "buffers that were not filled come back")
      loop.shutDown()
    }
  }

  @Test func framesAreReadIntoThePiecesThatTheClientGives() throws {
    let open = try Open(mtu: 65_517, bufferCount: 3)
    let (loop, client, queue) = (open.loop, open.client, open.queue)
    queue.start(client, on: loop)
    let sizes = [60, 4096, 4097, 14, 8192, 65_531, 1514, 20_000, 64]
    let sender = try open.sandbox.sendFrames(sizes)
    for target in [3, 6, 9] {
      // Only as many as there are buffers, until some are given back.
      #expect(loop.turn(until: { client.received.count == target }))
      for _ in 0..<5 { loop.turn(maySleep: false) }
      #expect(client.received.count == target)
      client.giveBack()
      queue.resume()
    }
    #expect(sender.status == 0, "\(sender.text)")
    #expect(client.received.enumerated().allSatisfy { $1 == testBytes($0, byteCount: sizes[$0]) })
    #expect(queue.statistics.receivedFrames == 9)
    open.finish()
  }

  /// One that an earlier batch had behind others, and did not fill, is as good as a new one.
  @Test func aBufferThatFoundNoFrameIsUsedForTheNextOne() throws {
    let open = try Open(bufferCount: 3)
    let (loop, client, queue) = (open.loop, open.client, open.queue)
    // All buffers are filled, so that the next batch is as large as it can be.
    try open.send([60, 60, 60])
    queue.start(client, on: loop)
    #expect(loop.turn(until: { client.received.count == 3 }))
    for _ in 0..<5 { loop.turn(maySleep: false) }
    // The first of the next three reads finds a frame, the second none, the third waits for one.
    try open.send([60])
    client.giveBack()
    queue.resume()
    #expect(loop.turn(until: { client.received.count == 4 }))
    try open.send([60])
    #expect(loop.turn(until: { client.received.count == 5 }))
    try open.send([60])
    #expect(loop.turn(until: { client.received.count == 6 }))
    open.finish()
  }

  @Test func manySmallFramesAreReadAtOnceIntoTheQueuesOwnMemoryAndLargeOnesWhereTheClientWantsThem() throws {
    let open = try Open(mtu: 65_517, bufferCount: 16, isStaged: true)
    let (loop, client, queue) = (open.loop, open.client, open.queue)
    queue.start(client, on: loop)
    let sizes = [60, 60, 60, 20_000, 30_000, 40_000, 50_000] + (0..<150).map { 60 + $0 } + [65_531, 65_000, 60_000] + [60, 61]
    // All of them wait before the first one is looked at but that of the read that waits.
    try open.send(sizes)
    #expect(loop.turn(until: { client.received.count == sizes.count }))
    #expect(client.received.enumerated().allSatisfy { $1 == testBytes($0, byteCount: sizes[$0]) })
    #expect(queue.statistics.receivedFrames == sizes.count)
    #expect(client.staged > 100, "\(client.staged) frames came in the queue's own memory")
    #expect(client.received.count - client.staged >= 4, "\(client.received.count - client.staged) frames came in the client's")
    open.finish()
  }
}
