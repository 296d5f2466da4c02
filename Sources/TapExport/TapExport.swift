import EventLoop
import LinuxSystem
public import NetFront
import NetPackets
public import NetTap

/// Shows a front-end's interface as a TAP interface: what any program sends there goes out through the vif, and the other way round.
///
/// ```swift
/// let export = try await TapExport.start(interface, configuration)
/// // … the front-end connects, disconnects, connects again …
/// await export.stop()
/// ```
/// Queue i of one is queue i of the other. The TAP interface has a carrier while a back-end is connected whose link is up. What is left to
/// do on a frame is passed through untouched.
public final class TapExport: Sendable {
  private let frontend: NetFrontend
  private let bridge: LoopConfined<TapBridge>

  private init(_ frontend: NetFrontend, _ bridge: LoopConfined<TapBridge>) {
    self.frontend = frontend
    self.bridge = bridge
  }

  /// Opens the TAP interface and passes frames from now on. Before the front-end connects for the first time.
  public static func start(_ frontend: NetFrontend, _ configuration: TapConfiguration) async throws -> TapExport {
    let bridge = try await frontend.loop.run { [plane = frontend.plane] () -> Result<LoopConfined<TapBridge>, TapError> in
      do throws(TapError) {
        let tap = try TapInterface.open(configuration)
        let bridge = TapBridge(tap, plane: plane.value)
        plane.value.client = bridge
        return .success(LoopConfined(bridge, on: plane.loop))
      } catch {
        return .failure(error)
      }
    }.get()
    return TapExport(frontend, bridge)
  }

  /// Closes the TAP interface. After the front-end's life cycle has ended.
  public func stop() async {
    await withCheckedContinuation { continuation in
      bridge.loop.execute { [bridge] in bridge.value.stop { continuation.resume() } }
    }
  }
}

/// The bridge between a front-end's queues and those of a TAP interface. All calls on their loop.
final class TapBridge: NetFrontClient {
  private let tap: TapInterface
  private unowned let plane: NetFrontPlane
  private let queues: [TapBridgeQueue]
  private var isStarted = false

  init(_ tap: TapInterface, plane: NetFrontPlane) {
    self.tap = tap
    self.plane = plane
    queues = tap.queues.map { TapBridgeQueue($0, plane: plane) }
  }

  /// Passes nothing any more, and closes the interface.
  func stop(_ done: @escaping () -> Void) {
    plane.client = nil
    let started = isStarted ? queues : []
    isStarted = false
    var left = started.count
    let finish = { [tap] in
      tap.close()
      done()
    }
    if left == 0 { return finish() }
    for queue in started {
      queue.queue.stop {
        left -= 1
        if left == 0 { finish() }
      }
    }
  }

  override func linkChanged(isUp: Bool) {
    // Queues run from the first connection on; without one, what comes from the interface is dropped.
    if isUp, !isStarted {
      isStarted = true
      try? tap.setActiveQueueCount(max(1, min(plane.queueCount, queues.count)))
      try? tap.setOffloads(TapDevice.Offloads(passedOnBy: plane.capabilities))
      for queue in queues { queue.queue.start(queue, on: plane.loop) }
    } else if isUp {
      try? tap.setOffloads(TapDevice.Offloads(passedOnBy: plane.capabilities))
    }
    // Fails only when somebody has removed the interface; frames are then dropped and counted.
    try? tap.setCarrier(isUp)
  }

  override func received(_ frame: Frame, queue: Int) -> ReceiveOutcome {
    switch queues[queue < queues.count ? queue : queue % queues.count].queue.transmit(frame) {
    case .done: .taken
    case .pending: .held
    case .dropped: .dropped
    }
  }

  override func transmitReady(queue: Int) {
    if queue < queues.count { queues[queue].queue.resume() }
  }
}

/// One queue of the TAP interface on its way to the front-end's queue of the same number.
final class TapBridgeQueue: TapQueueClient {
  let queue: TapQueue
  private unowned let plane: NetFrontPlane

  init(_ queue: TapQueue, plane: NetFrontPlane) {
    self.queue = queue
    self.plane = plane
  }

  override func received(_ frame: Frame, byteCount: Int, offload: FrameOffload, on queue: TapQueue) -> ReceiveOutcome {
    switch plane.transmit(frame, queue: queue.index < plane.queueCount ? queue.index : 0) {
    case .sent: .taken
    case .full: .full
    case .refused: .dropped
    }
  }

  override func endOfReceiveBatch(on queue: TapQueue) { plane.publish() }
  override func transmitted(_ frame: Frame, succeeded: Bool, on queue: TapQueue) { plane.giveBack(frame) }
}
