public import PVDriver
public import SharedRing
public import XenPlatform

/// Why a front-end's rings could not be taken up.
public enum BlkifConnectError: BackConnectError, Sendable, Equatable, CustomStringConvertible {
  case ringNotMapped(queue: Int, GrantError)
  /// The ring's indices are impossible before the first request.
  case ringBroken(queue: Int, RingFault)
  case platform(PlatformError)
  case alreadyConnected

  public var description: String {
    switch self {
    case .ringNotMapped(let queue, let error): "the ring of queue \(queue) cannot be mapped: \(error)"
    case .ringBroken(let queue, let fault): "the ring of queue \(queue) cannot be used: \(fault)"
    case .platform(let error): error.description
    case .alreadyConnected: "a front-end is connected already"
    }
  }
}
