import XenInterface

/// Where a back-end is in the life of its device. ``table`` says what each state does.
public enum BackendState: String, XenbusEndState {
  case starting = "Starting"
  case adopting = "Adopting"
  case resuming = "Resuming"
  case advertising = "Advertising"
  case initWait = "InitWait"
  case awaitingBacking = "AwaitingBacking"
  case connecting = "Connecting"
  case aborting = "Aborting"
  case connected = "Connected"
  case reconfiguring = "Reconfiguring"
  case reconfigured = "Reconfigured"
  case leaving = "Leaving"
  case left = "Left"
  case closing = "Closing"
  case draining = "Draining"
  case closed = "Closed"
  case closingUnconnected = "ClosingUnconnected"
  case finished = "Finished"

  public static var side: XenbusSide { .backend }

  /// While the driver takes a front-end's rings up, for the first time or where a process before us left them.
  private static let attempt: [XenbusRule<BackendState>] = [
    XenbusRule([.connectSucceeded], to: .connected, [.publish(.connected), .clearError]),
    XenbusRule([.connectFailed], to: .draining, [.reportError, .publish(.closing), .disconnect]),
    XenbusRule([.peerViolation], to: .aborting, [.reportError, .publish(.closing), .cancel]),
    XenbusRule(
      [
        .removeRequested, .stopRequested, .leaveRequested, .domainReleased, .peerVanished, .peer(.unknown), .peer(.initialising), .peer(.closing),
        .peer(.closed),
      ], to: .aborting, [.publish(.closing), .cancel]),
  ]

  public static let table = XenbusTable<BackendState>([
    XenbusRow(
      .starting, reads: nil, "The own directory is read: is the device new, or did a process before us serve it?",
      [
        XenbusRule([.foundFresh], to: .advertising, [.advertise]),
        XenbusRule(
          [.foundStale], to: .closed, [.publish(.closed)],
          "What the front-end granted was for a process that is gone; it begins again at Initialising"),
        XenbusRule([.foundLive], to: .adopting, [], "Grants and ports outlive a process on a Xen host"),
      ]),
    XenbusRow(
      .adopting, reads: .connected, "A process before us left a front-end connected, which need not know; what the device serves is awaited.",
      [
        XenbusRule([.removeRequested, .stopRequested, .domainReleased], to: .finished, [.publish(.closed)]),
        XenbusRule([.leaveRequested], to: .left, []),
        XenbusRule(
          [.peer(.unknown), .peer(.initialising), .peer(.initWait), .peer(.initialised), .peer(.closed)], to: .closed, [.publish(.closed)]),
        XenbusRule([.peer(.closing)], to: .closingUnconnected, [.publish(.closing)]),
        XenbusRule([.backingReady], to: .resuming, [.connect]),
      ]),
    XenbusRow(
      .resuming, reads: .connected, holdsConnection: true, "The driver takes up the live rings where they are.",
      attempt),
    XenbusRow(
      .advertising, reads: nil, "The driver works out which features to offer.",
      [
        XenbusRule([.prepared], to: .initWait, [.publish(.initWait)]),
        XenbusRule(
          [.prepareFailed], to: .finished, [.reportError, .publish(.closed)], "What cannot be offered cannot be served"),
      ]),
    XenbusRow(
      .initWait, reads: .initWait, "Features are published; the front-end has not published its rings.",
      [
        XenbusRule([.removeRequested, .stopRequested, .leaveRequested, .domainReleased], to: .finished, [.publish(.closed)]),
        XenbusRule(
          [.peer(.initialised), .peer(.connected)], to: .awaitingBacking, [], "Network front-ends go to Connected without Initialised"),
        XenbusRule(
          [.peer(.closing)], to: .closingUnconnected, [.publish(.closing)],
          "Windows closes before it connects, and waits for the answer"),
        XenbusRule([.peer(.closed)], to: .closed, [.publish(.closed)]),
      ]),
    XenbusRow(
      .awaitingBacking, reads: .initWait, "The front-end is ready; what the device serves is not (hotplug).",
      [
        XenbusRule([.removeRequested, .stopRequested, .leaveRequested, .domainReleased], to: .finished, [.publish(.closed)]),
        XenbusRule([.peer(.unknown), .peer(.initialising), .peer(.initWait)], to: .initWait, []),
        XenbusRule([.peer(.closing)], to: .closingUnconnected, [.publish(.closing)]),
        XenbusRule([.peer(.closed)], to: .closed, [.publish(.closed)]),
        XenbusRule([.backingReady], to: .connecting, [.connect]),
      ]),
    XenbusRow(
      .connecting, reads: .initWait, holdsConnection: true, "The driver maps the rings and begins to serve them.",
      attempt),
    XenbusRow(
      .aborting, reads: .closing, holdsConnection: true, "Connecting is not wanted any more; its outcome is awaited.",
      [
        XenbusRule([.connectSucceeded, .connectFailed], to: .draining, [.disconnect], "A failed attempt may have mapped something")
      ]),
    XenbusRow(
      .connected, reads: .connected, holdsConnection: true, "Requests are served.",
      [
        XenbusRule([.removeRequested, .stopRequested], to: .closing, [.publish(.closing)]),
        XenbusRule(
          [.leaveRequested], to: .leaving, [.disconnect],
          "Requests under way are finished; the front-end stays connected and waits for the next process"),
        XenbusRule([.domainReleased, .peerVanished], to: .draining, [.publish(.closing), .disconnect]),
        XenbusRule(
          [.peerViolation], to: .draining, [.reportError, .publish(.closing), .disconnect], "Only this device stops"),
        XenbusRule([.peer(.closing)], to: .closing, [.publish(.closing)]),
        XenbusRule(
          [.peer(.closed), .peer(.unknown), .peer(.initialising), .peer(.initWait)], to: .draining, [.publish(.closing), .disconnect],
          "The front-end does not use the ring any more; it may have skipped Closing"),
        XenbusRule([.peer(.reconfiguring)], to: .reconfiguring, [.reconfigure]),
        XenbusRule([.capacityChanged], to: .connected, [.republish], "The front-end reads the size again"),
      ]),
    XenbusRow(
      .reconfiguring, reads: .connected, holdsConnection: true, "The driver puts the front-end's new keys in force.",
      [
        XenbusRule([.reconfigured], to: .reconfigured, [.publish(.reconfigured)]),
        XenbusRule([.reconfigureFailed], to: .draining, [.reportError, .publish(.closing), .disconnect]),
      ]),
    XenbusRow(
      .reconfigured, reads: .reconfigured, holdsConnection: true,
      "New keys are in force; the front-end has not gone back to Connected. Requests are served.",
      [
        XenbusRule([.peer(.connected)], to: .connected, [.publish(.connected)]),
        XenbusRule([.removeRequested, .stopRequested, .leaveRequested, .peer(.closing)], to: .closing, [.publish(.closing)]),
        XenbusRule([.peerViolation], to: .draining, [.reportError, .publish(.closing), .disconnect]),
        XenbusRule(
          [.domainReleased, .peerVanished, .peer(.closed), .peer(.unknown), .peer(.initialising), .peer(.initWait)],
          to: .draining, [.publish(.closing), .disconnect]),
      ]),
    XenbusRow(
      .leaving, reads: .connected, holdsConnection: true, "Requests under way are finished, then everything is unmapped and unbound.",
      [XenbusRule([.drained], to: .left, [])]),
    XenbusRow(.left, reads: .connected, "The back-end's process ends, the device stays connected: the next process adopts it.", []),
    XenbusRow(
      .closing, reads: .closing, holdsConnection: true, deadline: .peer,
      "Closing was asked for by either end; requests are served until the front-end does not use the ring any more.",
      [
        XenbusRule(
          [.domainReleased, .peerVanished, .peer(.closed), .peer(.unknown), .peer(.initialising), .peer(.initWait)],
          to: .draining, [.disconnect]),
        XenbusRule([.peerViolation], to: .draining, [.reportError, .disconnect]),
        XenbusRule([.deadlinePassed], to: .draining, [.disconnect], "A front-end that does not answer cannot keep us"),
      ]),
    XenbusRow(
      .draining, reads: .closing, holdsConnection: true, "Requests under way are finished, then everything is unmapped and unbound.",
      [XenbusRule([.drained], to: .closed, [.publish(.closed)])]),
    XenbusRow(
      .closed, reads: .closed,
      "Nothing of a front-end is held. A front-end at Closing has its answer already; one at Initialising is served again.",
      [
        XenbusRule([.removeRequested, .stopRequested, .leaveRequested, .domainReleased], to: .finished, []),
        XenbusRule([.peer(.initialising)], to: .advertising, [.advertise]),
      ]),
    XenbusRow(
      .closingUnconnected, reads: .closing, "A front-end closes although nothing is connected; it is answered step by step.",
      [
        XenbusRule([.removeRequested, .stopRequested, .leaveRequested, .domainReleased], to: .finished, [.publish(.closed)]),
        XenbusRule(
          [
            .peer(.unknown), .peer(.initialising), .peer(.initWait), .peer(.initialised), .peer(.connected), .peer(.closed),
            .peer(.reconfiguring), .peer(.reconfigured),
          ], to: .closed, [.publish(.closed)]),
      ]),
    XenbusRow(.finished, reads: .closed, "The back-end is done with the device; its process ends, the toolstack may remove it.", []),
  ])
}
