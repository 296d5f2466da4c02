public import EventLoop

/// The ring half of a front-end, as its store half and its users see it. Loop thread only.
public protocol FrontPlane: LoopSource, SendableMetatype {
  /// Stops sending; `done` is called when everything that was sent is answered, or no answer will come.
  func quiesce(_ done: @escaping () -> Void)
  /// Ends a ``quiesce(_:)`` that nobody wants to wait for any more.
  func abandonQuiescing()
  /// The back-end closed its end of an event channel: its process is gone, or it was told to let go. False when that was to be
  /// expected, because we had stopped.
  func backendVanished(_ reason: String) -> Bool
  /// Gives rings, grants and ports back. `done` gets the number of pages that the back-end still had mapped.
  func disconnect(_ done: @escaping (_ stillMapped: Int) -> Void)
  /// Refuses everything from now on. ``disconnect(_:)`` first.
  func close()
}

/// Where the ring half of a front-end is in its life.
@frozen public enum FrontPhase: Sendable {
  case disconnected
  case connected
  /// Nothing is sent any more; responses are taken.
  case quiescing
  /// The rings are not touched any more: the back-end is dead, or broke a rule.
  case severed
  case closed
}

/// Has a front-end's plane served by its loop as long as somebody holds this.
public final class ServedPlane<Plane: FrontPlane>: Sendable {
  public let plane: LoopConfined<Plane>

  public init(_ plane: sending Plane, on loop: EventLoop) {
    let confined = LoopConfined(plane, on: loop)
    self.plane = confined
    loop.execute { loop.attach(confined.value) }
  }

  deinit {
    // Until then it is served, so that whoever still asks a closed front-end is told.
    plane.loop.execute { [plane] in plane.value.loop?.detach(plane.value) }
  }

  /// Ends the connection if there is one, and refuses everything from now on. From any task, after the life cycle has ended.
  public func close() async {
    await withCheckedContinuation { continuation in
      plane.loop.execute { [plane] in
        let plane = plane.value
        plane.disconnect { _ in
          plane.close()
          continuation.resume()
        }
      }
    }
  }
}
