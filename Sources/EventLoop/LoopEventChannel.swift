import Glibc
public import LinuxSystem
public import SystemPackage
import Uring
import XenInterface
public import XenPlatform

/// An event channel, or another pair of counters that is used as one, served by a loop: its events come in turn, and its signals go out
/// with the turn's other operations.
///
/// The peer shares both counters and can fill or drain them, or change their flags. Neither a wait nor a signal here
/// can be blocked by that: both are io_uring operations, with at most one of each in flight.
/// The counters are non-blocking, since the kernel has no other way to add to one at once: it tries a blocking one 128
/// times, and then gives it to a worker thread (`loop_rw_iter`, Linux), which costs 50 µs. So a wait asks for readiness first.
/// After an event the channel stays silent until ``rearm(spurious:)`` (late EOI): a peer that storms is slowed down, and
/// costs nobody else their turn. Loop thread only.
@safe public final class LoopEventChannel: LoopSource {
  /// What Linux shows of a channel in sysfs, and what `pvio status` shows.
  public struct Counters: Sendable, Equatable {
    public var events: UInt64 = 0
    /// Events that found nothing to do.
    public var spuriousEvents: UInt64 = 0
    /// Nanoseconds by which re-arming was delayed because of them.
    public var delayedNanoseconds: UInt64 = 0
    /// Signals sent to the peer.
    public var signals: UInt64 = 0
    public init() {}
  }

  /// What owns the counters.
  private let owner: AnyObject
  /// -1: there is none, and no event ever comes.
  private let waitDescriptor: Int32
  /// -1: there is none, and signals go nowhere.
  private let signalDescriptor: Int32
  /// The port, where events come from a Xen host's device (``EventChannel/Medium/device``); nil: counters.
  private let devicePort: UInt32?
  /// Bytes that a wait reads: a counter, or a port's number.
  private var eventByteCount: Int32 { devicePort == nil ? 8 : Int32(EventChannelDevice.portByteCount) }
  public private(set) var counters = Counters()
  /// An event has come and not been re-armed yet.
  public private(set) var isPending = false

  private let onEvent: () -> Void
  private let words: UnsafeMutablePointer<UInt64>
  private var waitUserData: UInt64?
  private var signalUserData: UInt64?
  /// A device's port has given an event and is masked.
  private var isMasked = false
  private var unmasksInFlight = 0
  /// A signal could not go out yet: one is in flight, or the loop has too many operations.
  private var signalWanted = false
  private var closing: (() -> Void)?
  private var isClosed = false
  private var cancelsInFlight = 0
  private var consecutiveSpurious = 0
  private enum Tag { static let wait: UInt64 = 0, signal: UInt64 = 1, cancel: UInt64 = 2, unmask: UInt64 = 3 }
  /// Spurious events in a row that are forgiven (`XEN_EOI_FLAG_SPURIOUS`, threshold 1 in Linux).
  private static let spuriousThreshold = 1
  private static let longestDelayNanoseconds: UInt64 = 1_000_000_000

  /// Starts waiting on `loop`. `onEvent` is called once per event; answer it with ``rearm(spurious:)``.
  public convenience init(_ channel: EventChannel, loop: EventLoop, onEvent: @escaping () -> Void) {
    let port: UInt32? = if case .device = channel.medium { channel.port.rawValue } else { nil }
    self.init(
      owner: channel, wait: channel.waitDescriptor.rawValue, signal: channel.signalDescriptor.rawValue, devicePort: port, loop: loop,
      onEvent: onEvent)
  }

  /// The same for two counters that came without a port, such as a virtqueue's kick and call. Both are made non-blocking.
  public convenience init(
    wait: SharedDescriptor?, signal: SharedDescriptor?, loop: EventLoop, onEvent: @escaping () -> Void
  ) throws(Errno) {
    try wait?.descriptor.setNonBlocking(true)
    try signal?.descriptor.setNonBlocking(true)
    self.init(
      owner: CounterPair(wait, signal), wait: wait?.rawValue ?? -1, signal: signal?.rawValue ?? -1, devicePort: nil, loop: loop,
      onEvent: onEvent)
  }

  private final class CounterPair {
    let descriptors: (SharedDescriptor?, SharedDescriptor?)
    init(_ wait: SharedDescriptor?, _ signal: SharedDescriptor?) { descriptors = (wait, signal) }
  }

  private init(owner: AnyObject, wait: Int32, signal: Int32, devicePort: UInt32?, loop: EventLoop, onEvent: @escaping () -> Void) {
    self.owner = owner
    self.devicePort = devicePort
    waitDescriptor = wait
    signalDescriptor = signal
    self.onEvent = onEvent
    // SAFETY: words that io_uring reads and writes (what a wait brought, what a signal adds, the port that is unmasked); freed in deinit,
    // which runs only after `close` saw every operation complete.
    unsafe words = .allocate(capacity: 3)
    unsafe words.initialize(repeating: 1, count: 3)
    if let devicePort { unsafe words[2] = UInt64(devicePort.littleEndian) }
    super.init()
    loop.attach(self)
    startWaiting()
  }

  deinit { unsafe words.deallocate() }

  /// Signals the peer with this turn's submission. At most one signal is in flight: more coalesce into the next.
  public func signal() {
    guard !isClosed, signalDescriptor >= 0 else { return }
    if let devicePort {
      counters.signals &+= 1
      return EventChannelDevice.notify(signalDescriptor, port: devicePort)
    }
    guard signalUserData == nil, let userData = loop.begin(self, tag: Tag.signal) else {
      signalWanted = true
      return
    }
    signalWanted = false
    signalUserData = userData
    counters.signals &+= 1
    let address = unsafe UInt(bitPattern: words + 1)
    precondition(loop.uring.prepareWrite(.descriptor(signalDescriptor), address: address, byteCount: 8, offset: 0, userData: userData))
  }

  /// Lets the next event through. `spurious` says that the last one found nothing to do; from the second in a row on,
  /// the channel waits, twice as long each time, up to a second.
  public func rearm(spurious: Bool) {
    guard isPending, !isClosed else { return }
    isPending = false
    guard spurious else {
      consecutiveSpurious = 0
      return startWaiting()
    }
    counters.spuriousEvents &+= 1
    consecutiveSpurious += 1
    guard consecutiveSpurious > Self.spuriousThreshold else { return startWaiting() }
    let delay = min(UInt64(1_000_000) << UInt64(min(consecutiveSpurious - Self.spuriousThreshold - 1, 10)), Self.longestDelayNanoseconds)
    counters.delayedNanoseconds &+= delay
    // Weak: a channel that is closed meanwhile goes away at once, not when the delay is over.
    loop.schedule(afterNanoseconds: delay) { [weak self] in self?.startWaiting() }
  }

  /// Stops waiting and signalling; `done` is called when the kernel holds nothing of this channel any more.
  public func close(_ done: @escaping () -> Void) {
    guard !isClosed else { return done() }
    isClosed = true
    closing = done
    signalWanted = false
    cancel(waitUserData)
    // It can be stuck as well as the wait: on a counter that the peer has filled.
    cancel(signalUserData)
    finishClosing()
  }

  private func cancel(_ target: UInt64?) {
    guard let target, let userData = loop.begin(self, tag: Tag.cancel) else { return }
    cancelsInFlight += 1
    precondition(loop.uring.prepareCancel(target: target, userData: userData))
  }

  public override func service() -> Service {
    guard signalWanted, signalUserData == nil, !isClosed else { return .idle }
    signal()
    return signalUserData == nil ? .idle : .worked
  }

  public override func completed(tag: UInt64, result: Int32) {
    switch tag {
    case Tag.wait:
      waitUserData = nil
      // The peer can take its signal back in between: an event that finds nothing, and that slows it down as any other.
      if result == eventByteCount { isMasked = devicePort != nil }
      if !isClosed, result == eventByteCount || result == -EAGAIN || result == -EINTR { deliver() }
    case Tag.signal:
      signalUserData = nil
    case Tag.unmask:
      unmasksInFlight -= 1
    default:
      cancelsInFlight -= 1
      // Between its poll and its read, the wait cannot be found. If somebody else has read the counter then, it goes on waiting: cancel
      // that. One that has ended is not found either, and its completion comes next. A signal that was not found is on its way, and
      // goes out.
      if result == -ENOENT, cancelsInFlight == 0 { cancel(waitUserData) }
    }
    if isClosed { finishClosing() }
  }

  private func deliver() {
    counters.events &+= 1
    isPending = true
    onEvent()
  }

  private func startWaiting() {
    guard !isClosed, waitDescriptor >= 0, waitUserData == nil, !isPending else { return }
    // The wait's two operations go in one submission, and the one that lets a device's port through.
    if loop.uring.freeSubmissionCount < 3 { loop.submitNow() }
    if isMasked, let userData = loop.begin(self, tag: Tag.unmask) {
      isMasked = false
      unmasksInFlight += 1
      let address = unsafe UInt(bitPattern: words + 2)
      precondition(
        loop.uring.prepareWrite(
          .descriptor(waitDescriptor), address: address, byteCount: EventChannelDevice.portByteCount, offset: 0, userData: userData))
    }
    guard let userData = loop.begin(self, tag: Tag.wait) else { fatalError("too many operations in flight to wait for an event") }
    let address = unsafe UInt(bitPattern: words)
    precondition(loop.uring.preparePolledRead(.descriptor(waitDescriptor), address: address, byteCount: 8, userData: userData))
    waitUserData = userData
  }

  private func finishClosing() {
    guard waitUserData == nil, cancelsInFlight == 0, unmasksInFlight == 0, signalUserData == nil, let done = closing else { return }
    closing = nil
    loop.detach(self)
    done()
  }
}
