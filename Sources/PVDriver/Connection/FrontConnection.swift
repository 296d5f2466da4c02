public import EventLoop
public import Logging
import Synchronization
public import XenInterface
public import XenPlatform
public import Xenbus

/// What the store half of a front-end holds while it is connected: the event channels, and through them whether the back-end lives.
/// Thread-safe.
public final class FrontConnection<Plane: FrontPlane>: Sendable {
  private let plane: LoopConfined<Plane>
  private let notices: XenbusNotices
  private let logger: Logger
  private let channels = Mutex<[EventChannel]>([])

  /// - Parameter notices: the same that the life cycle gets: told when the back-end's process is gone.
  public init(_ plane: LoopConfined<Plane>, notices: XenbusNotices, logger: Logger) {
    self.plane = plane
    self.notices = notices
    self.logger = logger
  }

  /// Keeps the channels of a new connection, which the plane has as well.
  public func hold(_ channels: [EventChannel]) {
    self.channels.withLock { $0 = channels }
    for channel in channels { channel.onPeerClosed { [weak self] in self?.peerClosed() } }
  }

  /// Stops sending, and returns when everything is answered, when no answer will come, or when the task is cancelled.
  public func quiesce() async {
    let plane = plane
    await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        plane.loop.execute { plane.value.quiesce { continuation.resume() } }
        // Cancelled before there was anything to abandon: then what is below ran too early.
        if Task.isCancelled { plane.loop.execute { plane.value.abandonQuiescing() } }
      }
    } onCancel: {
      plane.loop.execute { plane.value.abandonQuiescing() }
    }
  }

  /// Gives rings, grants and ports back.
  public func disconnect() async {
    let held = channels.withLock { channels in
      defer { channels = [] }
      return channels
    }
    for channel in held { channel.onPeerClosed(nil) }
    let plane = plane
    let stillMapped = await withCheckedContinuation { (continuation: CheckedContinuation<Int, Never>) in
      plane.loop.execute { plane.value.disconnect { continuation.resume(returning: $0) } }
    }
    if stillMapped > 0 { logger.notice("the back-end had not let go of \(stillMapped) pages; they are given up with their arenas") }
  }

  private func peerClosed() {
    plane.loop.execute { [plane, notices] in
      // A back-end that closes with us closes its ports before it has unmapped everything: its state says when it has.
      if plane.value.backendVanished("its end of the event channel was closed") { notices.peerVanished() }
    }
  }
}

extension XenPlatform {
  /// Makes `count` event channels that `domain` can bind to.
  public func allocateUnboundChannels(_ count: Int, for domain: DomainID) throws(PlatformError) -> [EventChannel] {
    var channels: [EventChannel] = []
    for _ in 0..<count { channels.append(try allocateUnboundChannel(for: domain)) }
    return channels
  }
}
