import Glibc
import Uring

/// Readiness of a descriptor (`poll(2)`).
public struct PollEvents: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let readable = PollEvents(rawValue: UInt32(POLLIN))
  public static let writable = PollEvents(rawValue: UInt32(POLLOUT))
  /// Reported whether asked for or not.
  public static let hangUp = PollEvents(rawValue: UInt32(POLLHUP))
  public static let error = PollEvents(rawValue: UInt32(POLLERR))
  /// The peer of a stream has ended its direction of it (`POLLRDHUP`).
  public static let readHangUp = PollEvents(rawValue: 0x2000)
}

/// Calls a handler while a descriptor is ready: for control-plane sockets, where readiness plus plain non-blocking calls read best.
///
/// Loop thread only.
public final class DescriptorWatch: LoopSource {
  /// When the handler is called.
  public enum Trigger: Sendable {
    /// Again and again, as long as the descriptor is ready.
    case level
    /// When something has come about since the last call, and once for what is there at first and after ``update(_:)``: whoever is called
    /// takes everything, or remembers that there is more. Costs the kernel nothing between two calls.
    case edge
  }

  private let descriptor: Int32
  private let trigger: Trigger
  private var interest: PollEvents
  private var handler: ((PollEvents) -> Void)?
  /// What the kernel has been asked for; nil when nothing is outstanding.
  private var armed: (events: PollEvents, userData: UInt64)?
  private enum Tag { static let poll: UInt64 = 0, cancel: UInt64 = 1 }
  private var cancelsInFlight = 0

  init(descriptor: Int32, events: PollEvents, trigger: Trigger, handler: @escaping (PollEvents) -> Void) {
    self.descriptor = descriptor
    self.trigger = trigger
    self.interest = events
    self.handler = handler
  }

  public override var takesTurns: Bool { false }

  /// Changes what is waited for; an empty set only pauses the watch.
  public func update(_ events: PollEvents) {
    guard events != interest, handler != nil else { return }
    interest = events
    rearm()
  }

  /// Ends the watch: the handler is not called again. The descriptor may be closed right after.
  public func cancel() {
    guard handler != nil else { return }
    handler = nil
    interest = []
    rearm()
    detachWhenQuiet()
  }

  func rearm() {
    if let armed {
      if armed.events != interest, let userData = loop.begin(self, tag: Tag.cancel) {
        cancelsInFlight += 1
        precondition(loop.uring.prepareCancel(target: armed.userData, userData: userData))
      }
      return
    }
    guard !interest.isEmpty, handler != nil else { return }
    guard let userData = loop.begin(self, tag: Tag.poll) else { fatalError("too many operations in flight to watch a descriptor") }
    switch trigger {
    case .level: precondition(loop.uring.preparePoll(.descriptor(descriptor), events: interest.rawValue, userData: userData))
    case .edge: precondition(loop.uring.preparePollEdges(.descriptor(descriptor), events: interest.rawValue, userData: userData))
    }
    armed = (interest, userData)
  }

  public override func completed(tag: UInt64, result: Int32, isLast: Bool) {
    if !isLast {
      if result > 0 { handler?(PollEvents(rawValue: UInt32(result))) }
      return
    }
    if tag == Tag.cancel {
      cancelsInFlight -= 1
    } else {
      armed = nil
      if result > 0 { handler?(PollEvents(rawValue: UInt32(result))) }
      // A bad descriptor would complete at once for ever.
      if result < 0, result != -ECANCELED { handler?(.error) }
      rearm()
    }
    detachWhenQuiet()
  }

  private func detachWhenQuiet() {
    if let loop, handler == nil, armed == nil, cancelsInFlight == 0 { loop.detach(self) }
  }
}

extension EventLoop {
  /// Calls `handler` on the loop's thread whenever `descriptor` is ready for one of `events`, until the watch is cancelled.
  /// The descriptor must stay open until then.
  public func watchDescriptor(
    _ descriptor: Int32, for events: PollEvents, trigger: DescriptorWatch.Trigger = .level, handler: @escaping (PollEvents) -> Void
  ) -> DescriptorWatch {
    let watch = DescriptorWatch(descriptor: descriptor, events: events, trigger: trigger, handler: handler)
    attach(watch)
    watch.rearm()
    return watch
  }
}
