import CLinuxShims
import Glibc
public import LinuxSystem
import Uring

/// Adds one to counters that a hostile process may share, for a party that is not an end of the channel: the broker.
///
/// Such a process can clear `O_NONBLOCK` and fill the counter, so a plain `write` could block for ever. A full counter is
/// left alone, since it is signalled already; one that fills up in that very moment blocks an io_uring worker until the
/// operation is given up. Loop thread only.
@safe public final class CounterSignaller: LoopSource {
  private let word: UnsafeMutablePointer<UInt64>
  /// Keeps each counter open until the kernel is done with it.
  private var inFlight: [UInt64: SharedDescriptor] = [:]
  private var lastTag: UInt64 = 0
  /// Operations at once: more than that can only be stuck ones.
  private static let limit = 256
  private static let patienceNanoseconds: UInt64 = 100_000_000
  /// Marks the completion of a cancellation.
  private static let cancelTag: UInt64 = 0

  public init(loop: EventLoop) {
    // SAFETY: one word that io_uring reads. Never freed before the loop has let go of every operation: `inFlight` holds none then.
    unsafe word = .allocate(capacity: 1)
    unsafe word.initialize(to: 1)
    super.init()
    loop.attach(self)
  }

  deinit { unsafe word.deallocate() }

  public override var takesTurns: Bool { false }

  /// Signals `counter` with this turn's submission.
  public func signal(_ counter: SharedDescriptor) {
    guard loop != nil, inFlight.count < Self.limit, EventDescriptor.isWritable(counter.descriptor) else { return }
    lastTag += 1
    let tag = lastTag
    guard let userData = loop.begin(self, tag: tag) else { return }
    inFlight[tag] = counter
    let address = unsafe UInt(bitPattern: word)
    precondition(loop.uring.prepareWrite(.descriptor(counter.rawValue), address: address, byteCount: 8, offset: 0, userData: userData))
    loop.schedule(afterNanoseconds: Self.patienceNanoseconds) { [weak self] in self?.giveUp(tag, userData) }
  }

  public override func completed(tag: UInt64, result: Int32) {
    if tag != Self.cancelTag { inFlight[tag] = nil }
  }

  private func giveUp(_ tag: UInt64, _ target: UInt64) {
    guard loop != nil, inFlight[tag] != nil, let userData = loop.begin(self, tag: Self.cancelTag) else { return }
    precondition(loop.uring.prepareCancel(target: target, userData: userData))
  }
}
