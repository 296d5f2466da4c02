import XenInterface

/// Where a front-end is in the life of its device. ``table`` says what each state does.
public enum FrontendState: String, XenbusEndState {
  case starting = "Starting"
  case resetClosing = "ResetClosing"
  case resetClosed = "ResetClosed"
  case waiting = "Initialising"
  case preparing = "Preparing"
  case abandoning = "Abandoning"
  case initialised = "Initialised"
  case connecting = "Connecting"
  case connected = "Connected"
  case refreshing = "Refreshing"
  case reconfiguring = "Reconfiguring"
  case quiescing = "Quiescing"
  case awaitingRelease = "AwaitingRelease"
  case releasing = "Releasing"
  case releasingLate = "ReleasingLate"
  case closed = "Closed"
  case finished = "Finished"

  public static var side: XenbusSide { .frontend }

  public static let table = XenbusTable<FrontendState>([
    XenbusRow(
      .starting, reads: nil, "The own directory is read: is the device new, or did a process before us use it?",
      [
        XenbusRule([.foundFresh], to: .waiting, [.locatePeer, .publish(.initialising)]),
        XenbusRule(
          [.foundStale], to: .resetClosing, [.publish(.closing)],
          "The back-end may still serve a process that is gone: 5, 6, 1, as a kernel does after kexec"),
      ]),
    XenbusRow(
      .resetClosing, reads: .closing, "The back-end is asked to let go of the process before us.",
      [
        XenbusRule([.removeRequested, .stopRequested], to: .finished, [.publish(.closed)]),
        XenbusRule([.peer(.closing), .peer(.closed)], to: .resetClosed, [.publish(.closed)]),
        XenbusRule(
          [.peer(.unknown), .peer(.initialising)], to: .waiting, [.locatePeer, .publish(.initialising)], "The back-end is new: it holds nothing"),
      ]),
    XenbusRow(
      .resetClosed, reads: .closed, "Nothing is held here, but the back-end may still hold rings from before: it has to let go of them.",
      [
        XenbusRule([.removeRequested, .stopRequested], to: .finished, []),
        XenbusRule(
          [.peer(.unknown), .peer(.initialising), .peer(.closed)], to: .waiting, [.locatePeer, .publish(.initialising)]),
      ]),
    XenbusRow(
      .waiting, reads: .initialising, "Nothing is held; the back-end has not offered anything.",
      [
        XenbusRule([.removeRequested, .stopRequested], to: .finished, [.publish(.closed)]),
        XenbusRule([.peer(.initWait)], to: .preparing, [.prepare]),
        XenbusRule([.resumed], to: .waiting, [.locatePeer]),
      ]),
    XenbusRow(
      .preparing, reads: .initialising, holdsConnection: true, "The driver allocates and grants rings for what is offered.",
      [
        XenbusRule([.prepared], to: .initialised, [.publish(.initialised)]),
        XenbusRule([.prepareFailed], to: .releasing, [.reportError, .publish(.closing), .disconnect]),
        XenbusRule(
          [
            .removeRequested, .stopRequested, .domainReleased, .peerVanished, .peer(.unknown), .peer(.initialising), .peer(.closing),
            .peer(.closed), .resumed,
          ], to: .abandoning, [.publish(.closing), .cancel]),
      ]),
    XenbusRow(
      .abandoning, reads: .closing, holdsConnection: true,
      "The operation under way is not wanted any more and the back-end does not use the rings; its outcome is awaited.",
      [
        XenbusRule(
          [.prepared, .prepareFailed, .connectSucceeded, .connectFailed, .quiesced], to: .releasing, [.disconnect])
      ]),
    XenbusRow(
      .initialised, reads: .initialised, holdsConnection: true, "Rings are granted and published; the back-end is not connected.",
      [
        XenbusRule(
          [
            .removeRequested, .stopRequested, .peer(.unknown), .peer(.initialising), .peer(.closing), .peer(.closed), .resumed,
          ], to: .awaitingRelease, [.publish(.closed)],
          "The back-end may be mapping the rings right now: take them back first, look at its state after that"),
        XenbusRule([.peerViolation], to: .awaitingRelease, [.reportError, .publish(.closed)]),
        XenbusRule([.domainReleased, .peerVanished], to: .releasing, [.publish(.closing), .disconnect]),
        XenbusRule([.peer(.connected)], to: .connecting, [.connect]),
      ]),
    XenbusRow(
      .connecting, reads: .initialised, holdsConnection: true, "The driver reads the back-end's keys and begins to use the device.",
      [
        XenbusRule([.connectSucceeded], to: .connected, [.publish(.connected), .clearError]),
        XenbusRule([.connectFailed], to: .quiescing, [.reportError, .publish(.closing), .quiesce]),
        XenbusRule(
          [.domainReleased, .peerVanished, .peer(.unknown), .peer(.initialising), .peer(.initWait), .peer(.closed)],
          to: .abandoning, [.publish(.closing), .cancel]),
      ]),
    XenbusRow(
      .connected, reads: .connected, holdsConnection: true, "The device is in use.",
      [
        XenbusRule([.removeRequested, .stopRequested, .peer(.closing), .resumed], to: .quiescing, [.publish(.closing), .quiesce]),
        XenbusRule(
          [.domainReleased, .peerVanished, .peer(.unknown), .peer(.initialising), .peer(.initWait), .peer(.initialised), .peer(.closed)],
          to: .releasing, [.reportError, .publish(.closing), .disconnect], "No answer will come: the back-end is dead or another one"),
        XenbusRule(
          [.peerViolation], to: .awaitingRelease, [.reportError, .publish(.closed)],
          "The ring is not touched any more, and nothing is freed that may be mapped"),
        XenbusRule([.peerRepeated], to: .refreshing, [.refresh], "The size may have changed"),
        XenbusRule([.reconfigureRequested], to: .reconfiguring, [.publish(.reconfiguring)]),
      ]),
    XenbusRow(
      .refreshing, reads: .connected, holdsConnection: true, "The driver reads the back-end's keys again. The device is in use.",
      [XenbusRule([.refreshed], to: .connected, [])]),
    XenbusRow(
      .reconfiguring, reads: .reconfiguring, holdsConnection: true, deadline: .peer,
      "New keys are published; the back-end has not put them in force. The device is in use.",
      [
        XenbusRule([.peer(.reconfigured)], to: .connected, [.publish(.connected)]),
        XenbusRule([.removeRequested, .stopRequested, .peer(.closing), .resumed], to: .quiescing, [.publish(.closing), .quiesce]),
        XenbusRule(
          [.domainReleased, .peerVanished, .peer(.unknown), .peer(.initialising), .peer(.initWait), .peer(.initialised), .peer(.closed)],
          to: .releasing, [.reportError, .publish(.closing), .disconnect]),
        XenbusRule([.peerViolation], to: .awaitingRelease, [.reportError, .publish(.closed)]),
        XenbusRule([.deadlinePassed], to: .connected, [.publish(.connected)], "A back-end that does not know state 7 goes on as before"),
      ]),
    XenbusRow(
      .quiescing, reads: .closing, holdsConnection: true, "Nothing new is sent; the requests under way are answered.",
      [
        XenbusRule([.quiesced], to: .awaitingRelease, [.publish(.closed)]),
        XenbusRule(
          [.domainReleased, .peerVanished, .peer(.unknown), .peer(.initialising), .peer(.initWait), .peer(.closed)],
          to: .abandoning, [.cancel], "No answer will come"),
      ]),
    XenbusRow(
      .awaitingRelease, reads: .closed, holdsConnection: true, deadline: .peer,
      "The ring is not used any more; the back-end may still have it mapped.",
      [
        XenbusRule(
          [.domainReleased, .peerVanished, .peer(.unknown), .peer(.initialising), .peer(.closed)], to: .releasing, [.disconnect]),
        XenbusRule(
          [.deadlinePassed], to: .releasingLate, [.disconnect], "Pages still mapped are kept apart by the platform, not used again"),
      ]),
    XenbusRow(
      .releasing, reads: nil, holdsConnection: true, "Rings, grants and ports are given back.",
      [XenbusRule([.drained], to: .closed, [.publish(.closed)])]),
    XenbusRow(
      .releasingLate, reads: .closed, holdsConnection: true, "Rings, grants and ports are given back although the back-end did not let go of them.",
      [XenbusRule([.drained], to: .resetClosed, [], "A new attempt has to wait until the back-end does")]),
    XenbusRow(
      .closed, reads: .closed, deadline: .retry, "Nothing is held; the next attempt follows after a pause.",
      [
        XenbusRule([.removeRequested, .stopRequested], to: .finished, []),
        XenbusRule(
          [.resumed, .deadlinePassed], to: .waiting, [.locatePeer, .publish(.initialising)],
          "The pause keeps two ends that cannot agree from spinning"),
      ]),
    XenbusRow(.finished, reads: .closed, "The front-end is done with the device; the toolstack may remove it.", []),
  ])
}
