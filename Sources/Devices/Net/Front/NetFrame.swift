import EventLoop
public import NetPackets

/// A whole frame, for programs that handle few of them: its bytes from the Ethernet header on, and what is left to be done.
public struct NetFrame: Sendable, Equatable {
  public var bytes: [UInt8]
  public var offload: FrameOffload

  public init(_ bytes: [UInt8], offload: FrameOffload = FrameOffload()) {
    self.bytes = bytes
    self.offload = offload
  }
}

extension NetFrontend {
  /// Sends frames, in order, on queue `queue`, and returns how many are on the ring; waits while there is no room. Those that cannot be
  /// sent as they are, or for which there is no connection, are left out and counted (``NetFrontCounters/transmitRefusals``).
  @discardableResult
  public func send(_ frames: [NetFrame], queue: Int = 0) async -> Int {
    await withCheckedContinuation { continuation in
      loop.execute { [plane] in
        FrameExchange.of(plane.value).send(FrameExchange.Batch(frames, queue: queue) { continuation.resume(returning: $0) })
      }
    }
  }

  /// Frames that are received from now on, of every queue; up to `limit` are kept for a listener that is slow, and later ones are dropped
  /// and counted (``NetFrontCounters/receiveDrops``). For one listener at a time; a new one ends the last one's.
  public func frames(limit: Int = 1024) async -> AsyncStream<NetFrame> {
    let (stream, continuation) = AsyncStream<NetFrame>.makeStream(bufferingPolicy: .bufferingOldest(limit))
    await loop.run { [plane] in FrameExchange.of(plane.value).listen(continuation) }
    return stream
  }
}

/// Copies between whole frames and those of a front-end's loop. All calls on it.
final class FrameExchange: NetFrontClient {
  /// Frames of one call, and whom to tell when they are sent.
  struct Batch {
    var frames: [NetFrame]
    var queue: Int
    var next = 0
    var sentCount = 0
    var done: (Int) -> Void

    init(_ frames: [NetFrame], queue: Int, done: @escaping (Int) -> Void) {
      self.frames = frames
      self.queue = queue
      self.done = done
    }
  }

  private unowned let plane: NetFrontPlane
  private let frame: Frame
  private var batches: [Batch] = []
  private var listener: AsyncStream<NetFrame>.Continuation?

  init(_ plane: NetFrontPlane) {
    self.plane = plane
    frame = Frame.scratch(byteCount: 1 << 16)
  }

  /// That of a plane whose frames nobody else takes.
  static func of(_ plane: NetFrontPlane) -> FrameExchange {
    if let exchange = plane.exchange { return exchange }
    precondition(plane.client == nil, "somebody takes this front-end's frames already")
    let exchange = FrameExchange(plane)
    plane.exchange = exchange
    plane.client = exchange
    return exchange
  }

  func send(_ batch: Batch) {
    batches.append(batch)
    if batches.count == 1 { goOn() }
  }

  func listen(_ continuation: AsyncStream<NetFrame>.Continuation) {
    listener?.finish()
    listener = continuation
  }

  /// Puts what waits on the ring, as far as there is room.
  private func goOn() {
    while !batches.isEmpty {
      while batches[0].next < batches[0].frames.count {
        switch transmit(batches[0].frames[batches[0].next], batches[0].queue) {
        case .sent: batches[0].sentCount += 1
        case .full: return plane.publish()
        case .refused: break
        }
        batches[0].next += 1
      }
      let batch = batches.removeFirst()
      batch.done(batch.sentCount)
    }
    plane.publish()
  }

  private func transmit(_ whole: NetFrame, _ queue: Int) -> NetFrontPlane.TransmitOutcome {
    // What has no room here has none on the ring either.
    guard frame.fill(whole.bytes) else { return .refused }
    frame.offload = whole.offload
    return plane.transmit(frame, queue: queue)
  }

  override func transmitReady(queue: Int) { goOn() }
  override func linkChanged(isUp: Bool) { if !isUp { goOn() } }

  override func received(_ frame: Frame, queue: Int) -> ReceiveOutcome {
    guard let listener else { return .dropped }
    if case .enqueued = listener.yield(NetFrame(frame.bytes, offload: frame.offload)) { return .taken }
    return .dropped
  }
}
