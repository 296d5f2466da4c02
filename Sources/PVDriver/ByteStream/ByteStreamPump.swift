public import EventLoop
import Glibc
public import LinuxSystem
import SharedMemory
public import SharedRing
public import SystemPackage
import Uring

/// Moves bytes between a byte stream and descriptors: a pseudo terminal, a pipe, a socket, a file.
///
/// The kernel reads and writes the ring's memory itself: there is no copy here, and no buffer. At most one read and one write are under
/// way. A ring without room is not read for, and one whose bytes nobody takes fills up: either end holds the other one back.
///
/// With a spool (``Overflow``) the ring is emptied even so, and what nobody takes in time is lost: the guest of a console must not wait
/// for somebody to look. Loop thread only.
open class ByteStreamPump: ByteStreamEndpoint {
  /// What happens to bytes from the ring that the output does not take.
  public enum Overflow: Sendable {
    /// They stay in the ring until it does.
    case hold
    /// The newest ones are kept, as many as this, a power of two; older ones are lost. All of them go to the log, if there is one.
    case discardOldest(byteCount: Int)
  }

  /// Something that the owner may want to act on. Each comes at most once.
  public enum Ending: Sendable, Equatable {
    /// The input has ended: nothing more will be put in.
    case inputEnded
    /// The input has ended, and the peer has taken everything that came from it.
    case drained
    /// The output takes nothing any more.
    case outputEnded(Errno)
  }

  private let input: SharedDescriptor?
  private let output: SharedDescriptor?
  private let log: ByteLog?
  private let spool: ByteSpool?
  private let vectors = VectorTable(capacity: 4)
  private let onEnding: (Ending) -> Void
  private var reading = Transfer()
  private var writing = Transfer()
  private var cancelsInFlight = 0
  private var disconnecting: (() -> Void)?
  private var isClosing = false
  private var inputHasEnded = false
  private var outputHasEnded = false
  /// Whether a write from the spool would be taken at once.
  private var outputIsReady = false
  /// Whether anything ever came from the input.
  public private(set) var hasReadInput = false

  /// One direction's operation.
  private struct Transfer {
    var userData: UInt64?
    /// The descriptor was not ready: it is being waited for.
    var isPolling = false
  }
  private enum Tag { static let read: UInt64 = 0, write: UInt64 = 1, pollInput: UInt64 = 2, pollOutput: UInt64 = 3, cancel: UInt64 = 4 }

  /// - Parameters:
  ///   - input: what is put into the ring; nil: nothing.
  ///   - output: what takes the ring's bytes; nil: they are thrown away, once they are in the log.
  public init(
    loop: EventLoop, input: SharedDescriptor?, output: SharedDescriptor?, overflow: Overflow = .hold, log: ByteLog? = nil,
    polling: PollingPolicy = .never, onEnding: @escaping (Ending) -> Void = { _ in }
  ) throws(Errno) {
    self.input = input
    self.output = output
    self.log = log
    self.onEnding = onEnding
    switch overflow {
    case .hold:
      precondition(log == nil, "what is logged goes through a spool")
      spool = nil
    case .discardOldest(let byteCount): spool = try ByteSpool(byteCount: byteCount)
    }
    super.init(loop: loop, polling: polling)
    wantsBytes = true
  }

  /// Stops using the descriptors; what is under way is cancelled, and the log is written out.
  public override func close(_ done: @escaping () -> Void) {
    precondition(!isConnected, "a pump is closed after its stream")
    isClosing = true
    disconnecting = { [self] in
      if loop != nil { loop.detach(self) }
      guard let log else { return done() }
      log.close(done)
    }
    cancelAll()
    finishDisconnecting()
  }

  /// Tells the owner. A subclass that knows what to do overrides it.
  open func ended(_ ending: Ending) { onEnding(ending) }

  /// Bytes of the ring are on their way to the output.
  public final var isWriting: Bool { writing.userData != nil }

  // MARK: Turns

  open override func transfer(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Service {
    let fromRing = spool == nil ? try writeFromRing(connection) : try fillSpool(connection)
    let toRing = try readIntoRing(connection)
    if wantsDrain, connection.cell.value.producer.isDrained {
      wantsDrain = false
      ended(.drained)
    }
    return fromRing || toRing ? .worked : .idle
  }

  public override func serviceAlways() -> Service { spool != nil && writeFromSpool() ? .worked : .idle }

  /// Starts a read into the ring's room. True when one was started.
  private func readIntoRing(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Bool {
    guard let input, !inputHasEnded, reading.userData == nil else {
      wantsRoom = false
      return false
    }
    let room = try connection.cell.value.producer.room()
    wantsRoom = room.byteCount == 0
    if wantsRoom { return false }
    return start(&reading, Tag.read, room) { ring, count, userData in
      ring.prepareReadVector(.descriptor(input.rawValue), table: vectors, first: 0, count: count, offset: .max, userData: userData)
    }
  }

  /// Starts a write of what the ring has. True when one was started.
  private func writeFromRing(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Bool {
    guard writing.userData == nil, !outputHasEnded else {
      wantsBytes = false
      return false
    }
    let filled = try connection.cell.value.consumer.filled()
    wantsBytes = filled.byteCount == 0
    if wantsBytes { return false }
    guard let output else {
      connection.cell.value.consumer.advance(by: filled.byteCount)
      didTake(filled.byteCount, connection)
      wantsBytes = true
      return true
    }
    return write(filled, to: output)
  }

  private func write(_ filled: ByteStreamVectors, to output: SharedDescriptor) -> Bool {
    start(&writing, Tag.write, filled) { ring, count, userData in
      ring.prepareWriteVector(.descriptor(output.rawValue), table: vectors, first: 2, count: count, offset: .max, userData: userData)
    }
  }

  private func start(
    _ transfer: inout Transfer, _ tag: UInt64, _ bytes: ByteStreamVectors, _ prepare: (inout Uring, _ count: Int, _ userData: UInt64) -> Bool
  ) -> Bool {
    // Too many operations are in flight on this loop: the next turn tries again, and there will be one, because something completes.
    guard let userData = loop.begin(self, tag: tag) else { return false }
    let place = tag == Tag.read ? 0 : 2
    vectors[place] = (bytes.first.address, bytes.first.byteCount)
    vectors[place + 1] = (bytes.second.address, bytes.second.byteCount)
    precondition(prepare(&loop.uring, bytes.second.byteCount > 0 ? 2 : 1, userData))
    transfer = Transfer(userData: userData)
    return true
  }

  // MARK: The spool

  /// Empties the ring into the spool, and makes room there if nobody takes what is in it. True when something was taken.
  private func fillSpool(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Bool {
    guard let spool else { return false }
    let limit = log?.room ?? .max
    let available = min(try connection.cell.value.consumer.available(), limit)
    // What is being written just now cannot be dropped; its completion is near.
    if spool.freeByteCount < available, writing.userData == nil || writing.isPolling {
      let surplus = min(available - spool.freeByteCount, spool.byteCount)
      spool.drop(surplus)
      counters.discardedByteCount &+= UInt64(surplus)
    }
    let taken = try spool.fill(from: &connection.cell.value.consumer, limit: available) { [log] bytes, offset, count in
      log?.append(bytes, at: offset, byteCount: count)
    }
    // A log that is behind calls for another turn when it has written.
    wantsBytes = limit > 0 && (spool.freeByteCount > 0 || writing.isPolling)
    didTake(taken, connection)
    return taken > 0
  }

  private func writeFromSpool() -> Bool {
    guard let spool, writing.userData == nil, !isClosing, spool.byteCount > 0 else { return false }
    guard let output, !outputHasEnded else {
      spool.drop(spool.byteCount)
      return false
    }
    // The kernel would keep a write that has to wait, and what is being written cannot be dropped: so readiness is waited for first.
    guard outputIsReady else {
      poll(&writing, Tag.pollOutput, output, .writable)
      return writing.isPolling
    }
    outputIsReady = false
    return write(spool.filled, to: output)
  }

  // MARK: Completions

  public override func completed(tag: UInt64, result: Int32) {
    switch tag {
    case Tag.read: readCompleted(result)
    case Tag.write: writeCompleted(result)
    case Tag.pollInput: reading = Transfer()
    case Tag.pollOutput:
      writing = Transfer()
      outputIsReady = result > 0
    default: cancelsInFlight -= 1
    }
    if disconnecting != nil { finishDisconnecting() }
  }

  private func readCompleted(_ result: Int32) {
    reading = Transfer()
    if result > 0 {
      hasReadInput = true
      guard let connection = connectionOfCompletion else { return }
      connection.cell.value.producer.advance(by: Int(result))
      didPut(Int(result), connection)
    } else if result == -EAGAIN {
      poll(&reading, Tag.pollInput, input, .readable)
    } else if result != -ECANCELED, result != -EINTR, !inputHasEnded {
      // The other side of a pseudo terminal that is gone is an end as well.
      inputHasEnded = true
      wantsDrain = true
      ended(.inputEnded)
    }
  }

  private func writeCompleted(_ result: Int32) {
    writing = Transfer()
    if result > 0 {
      if let spool { return spool.drop(Int(result)) }
      guard let connection = connectionOfCompletion else { return }
      connection.cell.value.consumer.advance(by: Int(result))
      didTake(Int(result), connection)
    } else if result == -EAGAIN {
      if spool == nil { poll(&writing, Tag.pollOutput, output, .writable) }
    } else if result < 0, result != -ECANCELED, result != -EINTR, !outputHasEnded {
      outputHasEnded = true
      ended(.outputEnded(Errno(rawValue: -result)))
    }
  }

  /// Waits until a descriptor that does not wait by itself is ready.
  private func poll(_ transfer: inout Transfer, _ tag: UInt64, _ descriptor: SharedDescriptor?, _ events: PollEvents) {
    guard let descriptor, disconnecting == nil || (tag == Tag.pollOutput && spool != nil && !isClosing) else { return }
    guard let userData = loop.begin(self, tag: tag) else { return }
    precondition(loop.uring.preparePoll(.descriptor(descriptor.rawValue), events: events.rawValue, userData: userData))
    transfer = Transfer(userData: userData, isPolling: true)
  }

  // MARK: Ending

  public override func didConnect() {
    wantsBytes = true
    wantsRoom = false
  }

  public override func willDisconnect(_ done: @escaping () -> Void) {
    disconnecting = done
    cancelAll()
    finishDisconnecting()
  }

  /// Cancels what touches the ring's memory; with a spool, writing goes on.
  private func cancelAll() {
    for target in [reading.userData, spool == nil || isClosing ? writing.userData : nil] {
      guard let target, let userData = loop.begin(self, tag: Tag.cancel) else { continue }
      cancelsInFlight += 1
      precondition(loop.uring.prepareCancel(target: target, userData: userData))
    }
  }

  private func finishDisconnecting() {
    guard let done = disconnecting, cancelsInFlight == 0, reading.userData == nil else { return }
    guard writing.userData == nil || (spool != nil && !isClosing) else { return }
    disconnecting = nil
    done()
  }
}
