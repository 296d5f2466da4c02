public import SharedRing

/// What a back-end did that no back-end may: the connection is given up.
public enum NetFrontFault: Error, Sendable, Equatable, CustomStringConvertible {
  case transmitRing(RingFault)
  case receiveRing(RingFault)
  /// A response to a request that is not in flight.
  case unknownIdentifier(UInt16)
  /// More responses for extra infos than extra infos.
  case unaskedNull

  public var description: String {
    switch self {
    case .transmitRing(let fault): "transmit ring: \(fault)"
    case .receiveRing(let fault): "receive ring: \(fault)"
    case .unknownIdentifier(let identifier): "transmit ring: the back-end answered request \(identifier), which is not in flight"
    case .unaskedNull: "transmit ring: the back-end answered more extra infos than there were"
    }
  }
}
