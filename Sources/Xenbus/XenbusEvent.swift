public import XenInterface

/// What can happen to one end of a device.
///
/// *Conditions* are facts that hold for a while (a key's value, a request that was made): they are looked at again
/// whenever a watch fires and whenever a state is entered, so that nothing is lost when watches coalesce.
/// *Outcomes* end the one operation that is under way.
public enum XenbusEvent: Hashable, Sendable {
  // Conditions, most urgent first: this is the order in which they are looked at.

  /// The toolstack wants the device gone: `online` is 0 in the back-end's directory, or our own directory was removed.
  case removeRequested
  /// Our own process was asked to end (SIGTERM) or to close this device.
  case stopRequested
  /// Back-end: our own process was asked to end, and to leave the front-end connected for the next one.
  case leaveRequested
  /// The peer's whole domain is gone (`@releaseDomain`).
  case domainReleased
  /// The peer's process died: the platform says that nobody holds its end of the event channel.
  case peerVanished
  /// The peer broke a rule of the shared ring; nothing it says can be used until it reconnects.
  case peerViolation
  /// The peer's `state` key, as it reads now; `.unknown` when it is missing or unreadable.
  case peer(XenbusState)
  /// The peer wrote the state that it already had: for a connected back-end "read my keys again" (resize).
  case peerRepeated
  /// Front-end: the domain was resumed or migrated; the back-end may be somewhere else now.
  case resumed
  /// Front-end: the driver wants to renegotiate keys while connected.
  case reconfigureRequested
  /// Back-end: what the device serves is there (hotplug has finished).
  case backingReady
  /// Back-end: keys that the front-end may read again have changed (resize).
  case capacityChanged

  // Outcomes.

  /// Our own `state` key is as the toolstack wrote it.
  case foundFresh
  /// Our own `state` key was left behind by a process before us.
  case foundStale
  /// Back-end: a process before us left a connected front-end, whose rings can be taken up as they are.
  case foundLive
  /// Back-end: features are ready to publish. Front-end: rings are allocated and granted.
  case prepared
  case prepareFailed
  /// Back-end: rings are mapped and served. Front-end: the back-end's keys are read and the device is in use.
  case connectSucceeded
  case connectFailed
  /// Front-end: the back-end's keys were read again.
  case refreshed
  /// Back-end: new keys of the front-end are in force.
  case reconfigured
  case reconfigureFailed
  /// Front-end: no new requests are sent, and those under way are answered or given up.
  case quiesced
  /// Nothing of the peer is in use any more: drained, unmapped, unbound.
  case drained
  /// The peer (or the pause before a new attempt) took as long as it may.
  case deadlinePassed
}

extension XenbusEvent: CaseIterable {
  /// Conditions in the order in which they are looked at.
  public static let conditions: [XenbusEvent] =
    [.removeRequested, .stopRequested, .leaveRequested, .domainReleased, .peerVanished, .peerViolation] + XenbusState.allCases.map { .peer($0) }
    + [.peerRepeated, .resumed, .reconfigureRequested, .backingReady, .capacityChanged]

  public static let outcomes: [XenbusEvent] = [
    .foundFresh, .foundStale, .foundLive, .prepared, .prepareFailed, .connectSucceeded, .connectFailed, .refreshed, .reconfigured,
    .reconfigureFailed, .quiesced, .drained, .deadlinePassed,
  ]

  public static let allCases: [XenbusEvent] = conditions + outcomes

  /// Whether the event ends an operation, rather than stating a fact that can be looked at again.
  public var isOutcome: Bool { Self.outcomes.contains(self) }
}

extension XenbusEvent: CustomStringConvertible {
  public var description: String {
    switch self {
    case .removeRequested: "removal requested"
    case .stopRequested: "stop requested"
    case .leaveRequested: "leaving requested"
    case .domainReleased: "peer's domain released"
    case .peerVanished: "peer's process died"
    case .peerViolation: "peer broke a ring rule"
    case .peer(let state): "peer \(state)"
    case .peerRepeated: "peer wrote its state again"
    case .resumed: "resumed"
    case .reconfigureRequested: "reconfiguration requested"
    case .backingReady: "backing ready"
    case .capacityChanged: "capacity changed"
    case .foundFresh: "own state fresh"
    case .foundStale: "own state stale"
    case .foundLive: "own state live"
    case .prepared: "prepared"
    case .prepareFailed: "preparing failed"
    case .connectSucceeded: "connecting succeeded"
    case .connectFailed: "connecting failed"
    case .refreshed: "keys read again"
    case .reconfigured: "reconfigured"
    case .reconfigureFailed: "reconfiguring failed"
    case .quiesced: "quiesced"
    case .drained: "drained"
    case .deadlinePassed: "deadline passed"
    }
  }
}
