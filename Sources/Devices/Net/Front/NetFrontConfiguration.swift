public import NetPackets
public import SharedRing

/// What a net front-end asks for.
public struct NetFrontConfiguration: Sendable {
  /// Queues to use, if the back-end offers as many.
  public var queueCount = 1
  /// An event channel for each ring, if the back-end offers that.
  public var splitEventChannels = true
  /// Have the back-end keep the grants of all pages mapped, as far as it does that, so that it looks at no grant for each frame
  /// (`feature-ctrl-ring`).
  public var keepsGrantsMapped = true
  /// What received frames may still have to be done to.
  public var capabilities = FrameCapabilities.all
  /// Pages for frames to send, for each queue: what the back-end can have under way, and as many again, so that a page is not written to as
  /// soon as it comes back, when its lines are in the back-end's cache still.
  public var transmitPageCount = 640
  /// Buffers of 17 pages beside them, for each queue, for those who have frames read straight into granted pages
  /// (``NetFrontPlane/takeBuffer(queue:)``).
  public var transmitBufferCount = 0
  /// Pages for received frames, for each queue: what is posted, and what is still being looked at here.
  public var receivePageCount = 512
  /// How long the rings are looked at before sleeping.
  public var polling = PollingPolicy.standard

  public init() {}
}
