public import XenInterface
public import XenStoreWire

/// Why an operation on the store failed.
public enum XenStoreClientError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The store refused: which request, about what, and its errno.
  case refused(XenStoreMessageType, path: String, XenStoreError)
  /// The connection ended before the reply came: whether the request was carried out is unknown.
  case connectionLost
  /// The reply was none that the request can have.
  case malformedReply(XenStoreMessageType, path: String)
  /// The request does not fit a packet, or its path has a NUL; nothing was sent.
  case unsendable(XenStoreMessageType, path: String)
  /// Others changed what the transaction looked at, each time it was tried.
  case contended(attempts: Int)

  /// The store's errno, when it refused.
  public var storeError: XenStoreError? {
    if case .refused(_, _, let error) = self { return error }
    return nil
  }

  public var description: String {
    switch self {
    case .refused(let operation, let path, let error): "store: \(operation) \(path): \(error.errnoName)"
    case .connectionLost: "store: the connection was lost"
    case .malformedReply(let operation, let path): "store: \(operation) \(path): the reply is malformed"
    case .unsendable(let operation, let path): "store: \(operation) \(path): does not fit a packet"
    case .contended(let attempts): "store: the transaction met changes by others in all of \(attempts) attempts"
    }
  }
}
