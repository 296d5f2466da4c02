public import EventLoop
import LinuxSystem
import NetPackets
import SharedMemory
import Uring

/// One queue of a TAP interface: reads frames that the interface's users send and writes frames to them, in batches on io_uring.
///
/// Reads: several are handed over together, all but the last of which do not wait. They complete within the call that submits them,
/// in order, for as many frames as are there; the last one stays until there is another. So there is one wake-up for a run of
/// frames, and the frames stay in order. Writes complete within the call, too. Loop thread only.
///
/// A packet socket on an interface of the host (``PacketInterface``) is served in the same way: it has the same header before each frame.
public final class TapQueue: LoopSource {
  /// What frames are read from and written to.
  enum Medium {
    case tap
    /// A VLAN tag comes beside the frame.
    case packetSocket
  }

  /// What comes before each frame to and from the kernel (`struct virtio_net_hdr`, linux/virtio_net.h). The longer header's count of buffers
  /// is always nothing here, and the kernel takes time to write it.
  @inlinable public static var headerByteCount: Int { 10 }
  /// The longest frame that the kernel hands over: the largest packet, its Ethernet header, a VLAN tag.
  @inlinable public static var maximumFrameByteCount: Int { 65_535 + 14 + 4 }

  /// What became of a frame that was to be sent.
  public enum TransmitOutcome: Sendable {
    /// The frame may be used again.
    case done
    /// The frame must stay as it is until ``TapQueueClient/transmitted(_:succeeded:on:)``.
    case pending
    /// Not sent, and counted. The frame may be used again.
    case dropped
  }

  /// Which of the interface's queues it is.
  public let index: Int
  /// Nil once closed.
  private var descriptor: SharedDescriptor?
  let tuning: TapTuning
  let medium: Medium
  let reads: TapReadSlots
  let writes: TapWriteSlots
  let state = FixedCell(State())

  enum Phase { case stopped, running, stopping }

  struct State {
    var phase = Phase.stopped
    var client: TapQueueClient?
    /// As the loop's operations name it; while there is a client.
    var file = UringFile.descriptor(-1)
    var stopped: (() -> Void)?
    var statistics = TapQueueStatistics()
    var cancelsInFlight = 0
    /// Somebody removed the interface.
    var isRemoved = false
    /// The client is full, or has no buffers to read into.
    var isPaused = false
    /// It has said that it is not any more.
    var isResumed = false
    /// Frames have been handed over since the client was last told of the end of a run.
    var handedOver = false
    /// Something has completed since the last turn.
    var hasWorked = false
    var batch = TapReadBatch(isStaged: true)
    var writesInFlight = 0
    /// Checksums that the client takes unfinished.
    var checksums: FrameCapabilities = [.checksumV4, .checksumV6]
  }

  enum Tag {
    static let read: UInt64 = 0, write: UInt64 = 1, cancel: UInt64 = 2
    static func make(_ kind: UInt64, slot: Int) -> UInt64 { UInt64(slot) << 2 | kind }
  }

  init(_ descriptor: SharedDescriptor, index: Int, tuning: TapTuning, medium: Medium = .tap) {
    precondition(medium == .tap || tuning.reading == .staged, "frames of a packet socket may need a tag put in")
    self.medium = medium
    precondition(Self.headerByteCount == PacketSocket.headerByteCount)
    self.index = index
    self.descriptor = descriptor
    self.tuning = tuning
    reads = TapReadSlots(tuning, medium)
    writes = TapWriteSlots(count: tuning.writeCount)
  }

  public var statistics: TapQueueStatistics { state.value.statistics }

  /// Which unfinished checksums the client takes; others are finished here, in the queue's own memory.
  func setCapabilities(_ capabilities: FrameCapabilities) {
    state.value.checksums = capabilities.intersection([.checksumV4, .checksumV6])
  }

  // MARK: Life

  /// Begins to serve `client` on `loop`.
  public func start(_ client: TapQueueClient, on loop: EventLoop) {
    precondition(state.value.phase == .stopped && descriptor != nil, "a queue serves one client, until it is closed")
    state.value.phase = .running
    state.value.client = client
    state.value.isPaused = false
    state.value.isResumed = false
    state.value.batch = TapReadBatch(isStaged: tuning.reading == .staged)
    loop.attach(self)
    if let descriptor { state.value.file = loop.registerFile(descriptor.rawValue) }
    submitReads()
  }

  /// Goes on after the client was full, or had no buffers, in the queue's next turn.
  public func resume() { state.value.isResumed = true }

  /// Ends serving the client: nothing is handed over from now on, frames that were kept for it are dropped; `done` is called when
  /// the kernel holds nothing of the queue any more and each pending frame has been told of. It can be started again.
  public func stop(_ done: @escaping () -> Void) {
    guard state.value.phase == .running else {
      precondition(state.value.phase == .stopped, "a queue is stopped once")
      return done()
    }
    state.value.phase = .stopping
    state.value.stopped = done
    cancelReads()
    finishStopping()
  }

  /// Gives the descriptor back. Stopped for good.
  func close() {
    precondition(state.value.phase == .stopped, "a queue is closed while it serves")
    descriptor = nil
  }

  func finishStopping() {
    guard state.value.phase == .stopping, state.value.batch.outstanding == 0, state.value.writesInFlight == 0, state.value.cancelsInFlight == 0
    else { return }
    dropReads()
    state.value.phase = .stopped
    state.value.client = nil
    loop.unregisterFile(state.value.file)
    loop.detach(self)
    let done = state.value.stopped.take()
    done?()
  }

  // MARK: Turns

  public override func completed(tag: UInt64, result: Int32) {
    state.value.hasWorked = true
    let slot = Int(tag >> 2)
    switch tag & 3 {
    case Tag.read: completedRead(slot, result)
    case Tag.write: completedWrite(slot, result)
    default: state.value.cancelsInFlight -= 1
    }
    if state.value.phase == .stopping { finishStopping() }
  }

  public override func service() -> Service {
    guard state.value.phase == .running else { return .idle }
    if state.value.isResumed {
      state.value.isResumed = false
      state.value.isPaused = false
    }
    handOver()
    if state.value.handedOver {
      state.value.handedOver = false
      state.value.client?.endOfReceiveBatch(on: self)
    }
    submitReads()
    let worked = state.value.hasWorked
    state.value.hasWorked = false
    return worked ? .worked : .idle
  }

  public override func hasWork() -> Bool { state.value.isResumed }
  public override func prepareToSleep() -> Bool { state.value.isResumed }

  func count(_ reason: TapDrop) { state.value.statistics.drops[reason] &+= 1 }
}
