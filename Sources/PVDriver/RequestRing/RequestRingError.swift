import SharedRing
public import XenInterface

/// Why a call of a front-end has no answer.
public enum RequestRingError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The back-end answered with an error; nil for a number that no version knows.
  case failed(RequestRingResult?, status: Int16)
  /// The back-end went away while it had the request, which must not be done twice.
  case backendLost(String)
  /// The back-end broke a rule: the connection is given up.
  case broken(RequestRingFrontFault)
  /// No back-end was there for as long as calls wait for one.
  case notConnected(waitedNanoseconds: UInt64)
  /// The front-end was closed.
  case closed
  /// More data than a request can have.
  case tooLarge(byteCount: Int, maximum: Int)
  /// Too many calls wait already.
  case tooManyWaiting(limit: Int)

  public var description: String {
    switch self {
    case .failed(let result, let status): "the back-end answered \(result.map { "\($0)" } ?? "with the unknown status \(status)")"
    case .backendLost(let reason): "the back-end was lost: \(reason)"
    case .broken(let fault): fault.description
    case .notConnected(let waited): "no back-end for \(waited / 1_000_000) ms"
    case .closed: "the front-end is closed"
    case .tooLarge(let count, let maximum): "\(count) bytes do not fit a request, which takes \(maximum)"
    case .tooManyWaiting(let limit): "\(limit) calls wait already"
    }
  }
}

/// What a back-end did that no honest one does.
public enum RequestRingFrontFault: Error, Sendable, Equatable, CustomStringConvertible {
  case ring(RequestCarrierFault)
  /// A response to a request that is not in flight.
  case unknownIdentifier(UInt64)
  /// A response that says more data than its request had room for.
  case dataLength(UInt32, maximum: Int)
  /// It answered and kept the pages mapped, until too few were left.
  case keepsPages(Int)

  public var description: String {
    switch self {
    case .ring(let fault): "the back-end broke the ring: \(fault)"
    case .unknownIdentifier(let identifier): "the back-end answered request \(identifier), which is not in flight"
    case .dataLength(let length, let maximum): "the back-end says that it wrote \(length) bytes where there was room for \(maximum)"
    case .keepsPages(let count): "the back-end keeps \(count) pages mapped whose requests it has answered"
    }
  }
}

/// What a call brought back.
public struct RequestRingReply<Interface: RequestRingInterface>: Sendable {
  public var response: Interface.Response
  /// What the back-end wrote into the request's data: a private copy.
  public var data: [UInt8]
}
