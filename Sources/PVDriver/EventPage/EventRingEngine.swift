import EventLoop

/// What a driver's author writes for the back-end of a device with one page of events: where events come from, and what is done with
/// those of the front-end.
///
/// ```swift
/// public final class ClockEngine: EventRingEngine {
///   public typealias Device = ClockDevice
///   private let events: EventSender<ClockToFrontend>
///   public init(_ setup: EngineSetup, _ events: EventSender<ClockToFrontend>) { self.events = events }
///   public func handle(_ event: ClockFromFrontend) { events.send(ClockToFrontend()) }
/// }
/// ```
public protocol EventRingEngine: DriverEngine {
  associatedtype Device: EventPageDevice

  /// Opens what the device serves. A failure ends the back-end with the error's text.
  /// - Parameter events: sends to the front-end, now and later.
  init(_ setup: EngineSetup, _ events: EventSender<Device.ToFrontend>) throws

  /// What to offer. A driver with a `driver:` section offers all of its protocol's unless it says otherwise.
  var device: Device { get }

  /// A front-end connected; both ends use what `agreement` says.
  func connected(_ agreement: Device.Agreement)

  /// The front-end went.
  func disconnected()

  /// Takes an event of the front-end. Everything in it comes from the peer: check before use.
  func handle(_ event: Device.FromFrontend)
}

extension EventRingEngine {
  public func connected(_ agreement: Device.Agreement) {}
  public func disconnected() {}
  public func handle(_ event: Device.FromFrontend) {}
}

extension EventRingEngine where Device: DefaultDevice {
  public var device: Device { Device() }
}

/// A device that is known from its protocol file alone.
public protocol DefaultDevice { init() }

/// Sends events to the front-end of a device. From any thread: events are sent in order, those of one turn together. What finds nobody to
/// send to waits, up to ``EventPagePlane/backlogLimit`` events; then the oldest are dropped.
public struct EventSender<Event: DriverRecord>: Sendable {
  private let post: @Sendable (Event) -> Void

  init<Incoming>(_ plane: LoopConfined<EventPagePlane<Event, Incoming>>) {
    post = { event in
      if plane.loop.isCurrent { plane.value.send(event) } else { plane.loop.execute { plane.value.send(event) } }
    }
  }

  public func send(_ event: Event) { post(event) }
}
