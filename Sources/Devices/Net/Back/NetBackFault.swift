public import NetInterface
public import SharedRing

/// What a front-end did that no front-end may: its device is stopped until it connects again.
public enum NetBackFault: Error, Sendable, Equatable, CustomStringConvertible {
  /// A ring's index is impossible.
  case ring(NetRingName, RingFault)
  /// A chain of transmit slots breaks a rule.
  case chain(TransmitFault)

  public var description: String {
    switch self {
    case .ring(let name, let fault): "\(name.rawValue) ring: \(fault)"
    case .chain(let fault): "transmit ring: \(fault)"
    }
  }
}

/// The rings of a network device, as messages name them.
public enum NetRingName: String, Sendable {
  case transmit
  case receive
  case control
}
