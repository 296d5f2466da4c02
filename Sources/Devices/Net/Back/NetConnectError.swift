public import NetEngine
public import PVDriver
public import SharedRing
import SystemPackage
public import XenPlatform

/// Why a front-end's rings could not be taken up.
public enum NetConnectError: BackConnectError, Sendable, Equatable, CustomStringConvertible {
  case ringNotMapped(NetRingName, queue: Int, GrantError)
  /// The ring's indices are impossible before the first request.
  case ringBroken(NetRingName, queue: Int, RingFault)
  case platform(PlatformError)
  /// What the vif is connected to cannot serve it.
  case port(NetPortError)
  /// No memory for the frames of a queue.
  case memory(String)
  case alreadyConnected

  public var description: String {
    switch self {
    case .ringNotMapped(let name, let queue, let error): "the \(name.rawValue) ring of queue \(queue) cannot be mapped: \(error)"
    case .ringBroken(let name, let queue, let fault): "the \(name.rawValue) ring of queue \(queue) cannot be used: \(fault)"
    case .platform(let error): error.description
    case .port(let error): error.description
    case .memory(let reason): "no memory for the frames of a queue: \(reason)"
    case .alreadyConnected: "a front-end is connected already"
    }
  }
}
