public import XenInterface

/// What a transition makes its end do, in the order given.
public enum XenbusAction: Hashable, Sendable {
  // Operations: one at a time, each ends with one of its `outcomes`.

  /// Read the own directory: whose state is in it?
  case inspect
  /// Back-end: find out which features to offer.
  case advertise
  /// Front-end: allocate and grant rings.
  case prepare
  /// Back-end: map the rings and serve them. Front-end: read the back-end's keys and use the device.
  case connect
  /// Front-end: read the back-end's keys again.
  case refresh
  /// Back-end: put the front-end's new keys in force.
  case reconfigure
  /// Front-end: stop sending and wait for the answers under way.
  case quiesce
  /// Drain what is under way and give back everything that belongs to the connection.
  case disconnect

  // Steps that are done at once.

  /// Hurry the operation under way; its outcome still comes.
  case cancel
  /// Front-end: read again where the back-end is.
  case locatePeer
  /// Write the own state, and the keys that the last operation returned, in one transaction.
  case publish(XenbusState)
  /// Write changed keys and the unchanged state in one transaction, so that the peer's watch fires.
  case republish
  /// Write the reason of the last failure to the `error` node and to the log.
  case reportError
  /// Remove the `error` node.
  case clearError

  /// The outcomes of which exactly one follows; empty for a step that is done at once.
  public var outcomes: [XenbusEvent] {
    switch self {
    case .inspect: [.foundFresh, .foundStale, .foundLive]
    case .advertise, .prepare: [.prepared, .prepareFailed]
    case .connect: [.connectSucceeded, .connectFailed]
    case .refresh: [.refreshed]
    case .reconfigure: [.reconfigured, .reconfigureFailed]
    case .quiesce: [.quiesced]
    case .disconnect: [.drained]
    case .cancel, .locatePeer, .publish, .republish, .reportError, .clearError: []
    }
  }
}

extension XenbusAction: CustomStringConvertible {
  public var description: String {
    switch self {
    case .inspect: "inspect"
    case .advertise: "advertise"
    case .prepare: "prepare"
    case .connect: "connect"
    case .refresh: "refresh"
    case .reconfigure: "reconfigure"
    case .quiesce: "quiesce"
    case .disconnect: "disconnect"
    case .cancel: "cancel"
    case .locatePeer: "locate peer"
    case .publish(let state): "publish \(state.rawValue)"
    case .republish: "publish keys again"
    case .reportError: "report error"
    case .clearError: "clear error"
    }
  }
}
