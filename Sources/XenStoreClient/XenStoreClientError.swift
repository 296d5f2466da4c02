public import XenInterface
public import XenStoreWire

/// Why an operation on the store failed.
public enum XenStoreClientError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The store refused: which request, about what, and its errno.
  case refused(XenStoreMessageType, path: String, XenStoreError)
  /// The connection ended before the reply came: whether the request was carried out is unknown. Also what every request to a client
  /// that is closed gets.
  case connectionLost
  /// The connection on which the transaction was begun has ended. None of its changes were made, and it cannot be used again.
  case transactionLost
  /// There was no connection for as long as the request may wait for one, or too much waits already (limit zero); it was not sent.
  case notConnected(XenStoreMessageType, path: String, limit: Duration)
  /// The reply did not come within the time limit: whether the request was or will be carried out is unknown.
  case timedOut(XenStoreMessageType, path: String, limit: Duration)
  /// The waiting task was cancelled: whether the request was or will be carried out is unknown.
  case cancelled(XenStoreMessageType, path: String)
  /// The reply was none that the request can have.
  case malformedReply(XenStoreMessageType, path: String)
  /// The request does not fit a packet, or its path has a NUL; nothing was sent.
  case unsendable(XenStoreMessageType, path: String)
  /// Others changed what the transaction looked at, each time it was tried.
  case contended(attempts: Int)
  /// A key's value is not what its protocol says.
  case unexpectedValue(path: String, StoreKeyError)

  /// The store's errno, when it refused.
  public var storeError: XenStoreError? {
    if case .refused(_, _, let error) = self { return error }
    return nil
  }

  public var description: String {
    switch self {
    case .refused(let operation, let path, let error): "store: \(operation) \(path): \(error.errnoName)"
    case .connectionLost: "store: the connection was lost"
    case .transactionLost: "store: the connection was lost, and with it the transaction: nothing of it was done"
    case .notConnected(let operation, let path, .zero): "store: \(operation) \(path): the store leaves too many requests unanswered"
    case .notConnected(let operation, let path, let limit): "store: \(operation) \(path): no connection within \(limit)"
    case .timedOut(let operation, let path, let limit): "store: \(operation) \(path): no reply within \(limit)"
    case .cancelled(let operation, let path): "store: \(operation) \(path): cancelled"
    case .malformedReply(let operation, let path): "store: \(operation) \(path): the reply is malformed"
    case .unsendable(let operation, let path): "store: \(operation) \(path): does not fit a packet"
    case .contended(let attempts): "store: the transaction met changes by others in all of \(attempts) attempts"
    case .unexpectedValue(let path, let error): "store: \(path): \(error)"
    }
  }
}
