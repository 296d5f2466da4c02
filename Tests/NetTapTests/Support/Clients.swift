import EventLoop
import LinuxSystem
import NetPackets
import NetTap
import SharedMemory

/// Keeps a copy of every frame of the tests' own protocol.
final class CollectingClient: TapQueueClient {
  /// IEEE's number for local experiments.
  static let protocolNumber: [UInt8] = [0x88, 0xB5]

  struct Received: Equatable {
    var bytes: [UInt8]
    var offload: FrameOffload
  }
  var received: [Received] = []
  /// Takes no more than this, if set.
  var limit = Int.max
  var refusesAll = false
  var offered = 0
  var ends = 0
  var transmitted: [Bool] = []
  var removals = 0

  override func received(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
    guard frame.headByteCount >= 14, frame.head.copyOut(at: 12, byteCount: 2) == Self.protocolNumber else { return .dropped }
    offered += 1
    if refusesAll { return .dropped }
    guard received.count < limit else { return .full }
    let copy = privateBytes(byteCount)
    frame.copy(from: 0, byteCount: byteCount, to: copy, at: 0)
    received.append(Received(bytes: copy.copyOut(at: 0, byteCount: byteCount), offload: offload))
    return .taken
  }
  override func endOfReceiveBatch(on queue: TapQueue) { ends += 1 }
  override func transmitted(_ frame: Frame, succeeded: Bool, on queue: TapQueue) { transmitted.append(succeeded) }
  override func interfaceRemoved(on queue: TapQueue) { removals += 1 }
}

/// Joins a queue to another one: frames are copied into a few buffers, and wait when there is none left.
final class RelayClient: TapQueueClient {
  private var free: [Frame]
  var peer: TapQueue?
  private var waits = false
  private weak var source: TapQueue?
  var largestFrame = 0
  var segmented: Set<FrameOffload.Segmentation> = []
  var unfinishedChecksums = 0
  var waitCount = 0

  init(bufferCount: Int) {
    free = (0..<bufferCount).map { Frame(index: $0, head: privateBytes(TapQueue.maximumFrameByteCount)) }
  }

  override func received(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
    guard let peer else { return .dropped }
    guard let buffer = free.popLast() else {
      waits = true
      waitCount += 1
      source = queue
      return .full
    }
    largestFrame = max(largestFrame, byteCount)
    if offload.segmentation != .none { segmented.insert(offload.segmentation) }
    if offload.needsChecksum { unfinishedChecksums += 1 }
    frame.copy(from: 0, byteCount: byteCount, to: buffer.head, at: 0)
    let head = min(byteCount, Frame.headCapacity)
    buffer.reset(headByteCount: head)
    if byteCount > head { buffer.append(buffer.head.vector(at: head, byteCount: byteCount - head)) }
    buffer.offload = offload
    if peer.transmit(buffer) != .pending { free.append(buffer) }
    return .taken
  }

  /// The frames that the other end sends for this one.
  final class Sender: TapQueueClient {
    unowned let relay: RelayClient
    let receiver: TapQueueClient
    init(_ relay: RelayClient, receiver: TapQueueClient) {
      self.relay = relay
      self.receiver = receiver
    }
    override func received(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
      receiver.received(frame, byteCount: byteCount, offload: offload, on: queue)
    }
    override func transmitted(_ frame: Frame, succeeded: Bool, on queue: TapQueue) { relay.released(frame) }
  }

  private func released(_ frame: Frame) {
    free.append(frame)
    guard waits else { return }
    waits = false
    source?.resume()
  }
}

/// A queue of one interface joined to one of another, both ways.
final class Wire {
  let ends: (TapQueue, TapQueue)
  let relays: (RelayClient, RelayClient)

  init(_ first: TapQueue, _ second: TapQueue, bufferCount: Int, on loop: EventLoop) {
    ends = (first, second)
    relays = (RelayClient(bufferCount: bufferCount), RelayClient(bufferCount: bufferCount))
    relays.0.peer = second
    relays.1.peer = first
    start(loop)
  }

  func start(_ loop: EventLoop) {
    ends.0.start(RelayClient.Sender(relays.1, receiver: relays.0), on: loop)
    ends.1.start(RelayClient.Sender(relays.0, receiver: relays.1), on: loop)
  }

  func stop(_ loop: EventLoop) -> Bool {
    var stopped = 0
    ends.0.stop { stopped += 1 }
    ends.1.stop { stopped += 1 }
    return loop.turn(until: { stopped == 2 })
  }
}

func privateBytes(_ byteCount: Int) -> SharedBytes {
  do { return try SharedRegion(anonymousByteCount: byteCount).bytes } catch { fatalError("no memory: \(error)") }
}

/// A frame of the tests' own protocol, whose bytes behind the head are in memory of their own.
func makeFrame(_ index: Int, _ bytes: [UInt8]) -> Frame {
  let memory = privateBytes(max(bytes.count, Frame.headCapacity))
  memory.copyIn(bytes, at: 0)
  let frame = Frame(index: index, head: memory)
  let head = min(bytes.count, Frame.headCapacity)
  frame.reset(headByteCount: head)
  if bytes.count > head { frame.append(memory.vector(at: head, byteCount: bytes.count - head)) }
  return frame
}

/// `byteCount` bytes of a broadcast frame of the tests' own protocol, different for each number.
func testBytes(_ number: Int, byteCount: Int) -> [UInt8] {
  let header = [UInt8](repeating: 0xFF, count: 6) + [2, 0, 0, 0, 0, 9] + CollectingClient.protocolNumber
  let body = (0..<max(0, byteCount - 14)).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number &* 131 &+ $0 >> 8) }
  return Array((header + body).prefix(byteCount))
}
