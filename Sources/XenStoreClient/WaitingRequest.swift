import Synchronization
import XenInterface
import XenStoreWire

/// What a store answered, and on which connection.
struct StoreReply: Sendable {
  var payload: [UInt8]
  var epoch: UInt64
}

/// A request whose reply has not come.
struct WaitingRequest {
  typealias Answer = Result<StoreReply, XenStoreClientError>

  /// Who gets the reply.
  enum Receiver {
    case task(CheckedContinuation<Answer, Never>)
    case batch(BatchCollector, index: Int)
    /// A watch that was registered again after a reconnection.
    case watch(token: String, WatchEvents)
    /// Whoever waited has given up: the reply is matched and dropped.
    case nobody
  }

  var type: XenStoreMessageType
  var path: String
  var transactionID: UInt32
  var receiver: Receiver
  /// The request's bytes while they may have to be sent again.
  var packet: [UInt8]?
  /// Of a request for a watch: its token.
  var watchToken: String?
  var isSent = false
  /// When it has waited long enough for its reply.
  var deadline: ContinuousClock.Instant?
  /// When it has waited long enough for a connection.
  var connectionDeadline: ContinuousClock.Instant?

  /// Whether sending it once more, on another connection, changes nothing but the time of the answer: what only reads, and what began
  /// something that ended with its connection.
  var isRepeatable: Bool {
    guard transactionID == 0 else { return false }
    switch type {
    case .read, .directory, .directoryPart, .getPermissions, .getDomainPath, .isDomainIntroduced, .transactionStart, .watch: return true
    default: return false
    }
  }

  /// What to tell when the connection that carried it has ended. Only of a commit is the outcome unknown: other requests of a
  /// transaction have certainly changed nothing.
  func loss(reconnects: Bool) -> XenStoreClientError {
    reconnects && transactionID != 0 && type != .transactionEnd ? .transactionLost : .connectionLost
  }
}

/// Bytes that wait for a connection: a request that somebody waits for, or one whose reply does not matter (identifier nil).
struct HeldPacket {
  var requestID: UInt32?
  var bytes: [UInt8]
}

/// A watch that the store has, or is about to have.
struct WatchRegistration {
  var path: String
  var events: WatchEvents
  /// The store has answered; on another connection it is to be asked again.
  var isAccepted = false
}

/// What became due under the lock and is carried out without it.
enum Due {
  case answer(WaitingRequest.Receiver, WaitingRequest.Answer)
  case event(WatchEvents, XenStoreWatchEvent)
  case end(WatchEvents)
  /// A transaction was begun for somebody who gave up waiting: it must not stay open.
  case abort(transaction: UInt32, epoch: UInt64)

  static func answer(_ request: WaitingRequest, _ answer: WaitingRequest.Answer) -> Due { .answer(request.receiver, answer) }
}
