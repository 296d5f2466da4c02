import NetEngine
import NetPackets
import SharedMemory

/// A port that remembers what it was given, answers as it is told, and delivers what a test wants.
final class RecordingPort: NetPort {
  struct Recorded: Equatable {
    var bytes: [UInt8]
    var queue: Int
    var headByteCount: Int
    var pieceCount: Int
    var offload: FrameOffload
  }

  /// What becomes of the next frames.
  var outcome = NetPort.TransmitOutcome.done
  /// The same in turns, in place of ``outcome``.
  var outcomes: [NetPort.TransmitOutcome] = []
  /// A frame that comes ends the one that is pending.
  var endsOnNext = false
  /// Frames that were taken, oldest first.
  private(set) var frames: [Recorded] = []
  /// How many there were; also counts when ``isRecording`` is off.
  private(set) var frameCount = 0
  private(set) var byteCount = 0
  var isRecording = true
  /// Frames that the port has, in the order they came.
  private(set) var pending: [Frame] = []
  private(set) var stalls: [Bool] = []
  private(set) var readyQueues: [Int] = []
  private(set) var batchCount = 0
  private(set) var accepting: FrameCapabilities?
  var keepsFrames = false
  var offered = FrameCapabilities.all
  var refusal: NetPortError?
  /// Pending frames are not ended when the vif goes away: a test does it.
  var holdsOn = false
  private var ending: (() -> Void)?
  private let scratch: SharedBytes
  private let outgoing: Frame
  private let outgoingBytes: SharedBytes

  override init() {
    guard let scratch = try? SharedRegion(anonymousByteCount: 1 << 17).bytes, let bytes = try? SharedRegion(anonymousByteCount: 1 << 17).bytes,
      let head = try? SharedRegion(anonymousByteCount: 4096).bytes
    else { fatalError("no memory") }
    self.scratch = scratch
    outgoingBytes = bytes
    outgoing = Frame(index: 0, head: head)
  }

  override var capabilities: FrameCapabilities { offered }
  override var keepsRefusedFrames: Bool { keepsFrames }

  override func connect(_ client: NetPortClient, accepting: FrameCapabilities, queueCount: Int) throws(NetPortError) {
    if let refusal { throw refusal }
    self.client = client
    self.accepting = accepting
  }

  override func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome {
    if endsOnNext, !pending.isEmpty { end(0) }
    if !outcomes.isEmpty { outcome = outcomes[frameCount % outcomes.count] }
    frameCount += 1
    byteCount += frame.byteCount
    if isRecording {
      frames.append(
        Recorded(
          bytes: bytes(of: frame), queue: queue, headByteCount: frame.headByteCount, pieceCount: frame.pieceCount, offload: frame.offload))
    }
    if case .pending = outcome { pending.append(frame) }
    return outcome
  }

  func bytes(of frame: Frame) -> [UInt8] {
    frame.copy(from: 0, byteCount: frame.byteCount, to: scratch, at: 0)
    return scratch.copyOut(at: 0, byteCount: frame.byteCount)
  }

  override func endOfTransmitBatch() { batchCount += 1 }
  override func receiveReady(queue: Int) { readyQueues.append(queue) }
  override func guestStalled(_ isStalled: Bool) { stalls.append(isStalled) }

  override func disconnect(_ done: @escaping () -> Void) {
    ending = done
    if !holdsOn { endAll() }
    finishEnding()
  }

  private func finishEnding() {
    guard pending.isEmpty, let ending else { return }
    client = nil
    self.ending = nil
    ending()
  }

  /// Ends the pending frame at a place.
  func end(_ index: Int, succeeded: Bool = true) {
    client?.transmitted(pending.remove(at: index), succeeded: succeeded)
    finishEnding()
  }

  func endAll() { while !pending.isEmpty { end(pending.count - 1) } }

  func forget() { frames = [] }

  // MARK: To the guest

  /// Offers a frame whose first 256 bytes at most are in its head.
  @discardableResult
  func deliver(_ bytes: [UInt8], queue: Int = 0, offload: FrameOffload = FrameOffload(), endsBatch: Bool = true) -> NetPortClient.ReceiveOutcome {
    let head = min(bytes.count, Frame.headCapacity)
    outgoing.reset(headByteCount: head)
    outgoing.head.copyIn(Array(bytes[..<head]), at: 0)
    outgoingBytes.copyIn(bytes, at: 0)
    outgoing.append(outgoingBytes.vector(at: head, byteCount: bytes.count - head))
    outgoing.offload = offload
    let outcome = client?.receive(outgoing, queue: queue) ?? .dropped
    if endsBatch { client?.endOfReceiveBatch() }
    return outcome
  }
}
