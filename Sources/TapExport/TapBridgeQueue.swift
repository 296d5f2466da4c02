import EventLoop
import NetFront
import NetPackets
import NetTap
import SharedMemory
import SystemPackage

/// One queue of the TAP interface on its way to the front-end's queue of the same number.
///
/// Large frames are read straight into pages that the back-end reads them from, where the front-end has such buffers; without a connection into
/// a few of our own, so that what the interface's users send meanwhile is dropped and does not wait.
final class TapBridgeQueue: TapQueueClient {
  let queue: TapQueue
  /// Not weaker, because that would cost two atomic operations a frame: the plane lets go of the bridge when that stops.
  private let plane: NetFrontPlane
  private var ownBuffers: [OwnBuffer] = []
  private enum Phase {
    case stopped, running
    /// Stops, to begin again without what it had been lent.
    case restarting
    case stopping(() -> Void)
  }
  private var phase = Phase.stopped

  init(_ queue: TapQueue, plane: NetFrontPlane) throws(Errno) {
    self.queue = queue
    self.plane = plane
    if plane.configuration.transmitBufferCount > 0 { ownBuffers = [try OwnBuffer(number: -1), try OwnBuffer(number: -2)] }
  }

  /// The front-end's queue that frames go to, of `count` that it has.
  func number(of count: Int) -> Int { queue.index < count ? queue.index : count > 0 ? queue.index % count : 0 }

  // MARK: Life

  func start() {
    phase = .running
    queue.start(self, on: plane.loop)
  }

  func stop(_ done: @escaping () -> Void) {
    switch phase {
    case .stopped: done()
    case .restarting: phase = .stopping(done)
    case .stopping: preconditionFailure("stopped twice")
    case .running:
      phase = .stopping(done)
      queue.stop { [self] in stopped() }
    }
  }

  /// Gives what the front-end has lent back, and goes on.
  func letGoOfBuffers() {
    guard case .running = phase, !ownBuffers.isEmpty else { return }
    phase = .restarting
    queue.stop { [self] in stopped() }
  }

  private func stopped() {
    switch phase {
    case .stopped, .running: preconditionFailure("nobody has asked for that")
    case .restarting: start()
    case .stopping(let done):
      phase = .stopped
      done()
    }
  }

  // MARK: Frames

  override func buffer(for queue: TapQueue) -> Frame? {
    if plane.isConnected { return plane.takeBuffer(queue: number(of: plane.queueCount)) }
    for index in ownBuffers.indices where !ownBuffers[index].isLent {
      ownBuffers[index].isLent = true
      return ownBuffers[index].lent
    }
    return nil
  }

  override func received(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
    .init(plane.transmit(frame, queue: number(of: plane.queueCount)))
  }

  override func filled(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
    guard frame.index < 0 else { return .init(plane.transmit(buffer: frame, byteCount: byteCount, offload: offload)) }
    let buffer = -1 - frame.index
    let outcome = plane.transmit(ownBuffers[buffer].filled(byteCount: byteCount, offload), queue: number(of: plane.queueCount))
    if outcome != .full { ownBuffers[buffer].isLent = false }
    return .init(outcome)
  }

  override func unused(_ frame: Frame, on queue: TapQueue) {
    if frame.index < 0 { ownBuffers[-1 - frame.index].isLent = false } else { plane.giveBack(buffer: frame) }
  }

  override func endOfReceiveBatch(on queue: TapQueue) { plane.publish() }
  override func transmitted(_ frame: Frame, succeeded: Bool, on queue: TapQueue) { plane.giveBack(frame) }
}

extension TapQueueClient.ReceiveOutcome {
  fileprivate init(_ outcome: NetFrontPlane.TransmitOutcome) {
    self =
      switch outcome {
      case .sent: .taken
      case .full: .full
      case .refused: .dropped
      }
  }
}

/// Private memory for a frame that comes while there is no connection.
private struct OwnBuffer {
  /// What is read into: one piece.
  let lent: Frame
  /// The same memory as a frame.
  private let frame: Frame
  var isLent = false

  init(number: Int) throws(Errno) {
    let memory = try SharedRegion(anonymousByteCount: 68 << 10).bytes
    lent = Frame(index: number, head: memory)
    frame = Frame(index: number, head: memory)
    lent.reset(headByteCount: 0)
    lent.append(memory.vector(at: 0, byteCount: memory.byteCount))
  }

  func filled(byteCount: Int, _ offload: FrameOffload) -> Frame {
    let headByteCount = min(byteCount, Frame.headCapacity)
    frame.reset(headByteCount: headByteCount)
    frame.append(frame.head.vector(at: headByteCount, byteCount: byteCount - headByteCount))
    frame.offload = offload
    return frame
  }
}
