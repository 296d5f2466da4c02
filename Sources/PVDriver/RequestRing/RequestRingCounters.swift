public import EventLoop
public import SharedRing
public import XenPlatform

/// What a back-end with a request/response ring has done: for status files and metrics.
public struct RequestRingCounters: Sendable, Equatable {
  /// Requests taken.
  public var requests: UInt64 = 0
  /// Bytes of data of those that reached the engine.
  public var bytes: UInt64 = 0
  /// Requests that the engine answered with an error.
  public var failures: UInt64 = 0
  /// Requests that broke a rule and were answered without reaching the engine.
  public var rejections: UInt64 = 0
  /// How often requests had to wait because of a limit.
  public var heldBack: UInt64 = 0
  /// Requests taken and not answered.
  public var inFlight: UInt64 = 0
  /// Events, spurious ones, signals of this connection.
  public var events = LoopEventChannel.Counters()
  /// Pages of the front-end that are mapped now.
  public var mappedPageCount = 0
  /// What broke the ring.
  public var fault: RequestCarrierFault?

  public init() {}

  /// Adds what an earlier connection has done.
  mutating func add(past: RequestRingCounters) {
    requests &+= past.requests
    bytes &+= past.bytes
    failures &+= past.failures
    rejections &+= past.rejections
    heldBack &+= past.heldBack
  }
}

/// Why a front-end's ring could not be taken up.
public enum RequestRingConnectError: BackConnectError, Sendable, Equatable, CustomStringConvertible {
  case ringNotMapped(GrantError)
  /// The ring's indices are impossible before the first request.
  case ringBroken(RingFault)
  case platform(PlatformError)
  /// A front-end is connected already: our own mistake, told instead of trapped on because it ends only this device.
  case alreadyConnected

  public var description: String {
    switch self {
    case .ringNotMapped(let error): "the ring cannot be mapped: \(error)"
    case .ringBroken(let fault): "the ring cannot be used: \(fault)"
    case .platform(let error): error.description
    case .alreadyConnected: "a front-end is connected already"
    }
  }
}
