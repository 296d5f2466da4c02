import EventLoop
import LinuxSystem
import NetFront
import NetPackets
import NetTap
import SystemPackage

/// The bridge between a front-end's queues and those of a TAP interface. All calls on their loop.
final class TapBridge: NetFrontClient {
  private let tap: TapInterface
  private unowned let plane: NetFrontPlane
  private let queues: [TapBridgeQueue]
  private var isStarted = false
  private var isClosed = false

  init(_ tap: TapInterface, plane: NetFrontPlane) throws(Errno) {
    self.tap = tap
    self.plane = plane
    var queues: [TapBridgeQueue] = []
    for queue in tap.queues { queues.append(try TapBridgeQueue(queue, plane: plane)) }
    self.queues = queues
  }

  var statistics: [TapQueueStatistics] { queues.map(\.queue.statistics) }
  var report: NetworkLink? { isClosed ? nil : try? tap.report() }

  /// Passes nothing any more, and closes the interface.
  func stop(_ done: @escaping () -> Void) {
    plane.client = nil
    let started = isStarted ? queues : []
    isStarted = false
    var left = started.count
    let finish = { [self] in
      isClosed = true
      tap.close()
      done()
    }
    if left == 0 { return finish() }
    for queue in started {
      queue.stop {
        left -= 1
        if left == 0 { finish() }
      }
    }
  }

  override func linkChanged(isUp: Bool) {
    // Every call fails only when somebody has removed the interface; frames are then dropped and counted.
    if isUp {
      // Another back-end may offer other queues, and take other frames.
      try? tap.setActiveQueueCount(max(1, min(plane.queueCount, queues.count)))
      try? tap.setOffloads(passedOnBy: plane.capabilities)
      // Queues run from the first connection on; without one, what comes from the interface is dropped.
      if !isStarted {
        isStarted = true
        for queue in queues { queue.start() }
      }
    }
    try? tap.setCarrier(isUp)
    // The pages of a connection that ends are wanted back, which a read that waits for a frame holds.
    if !plane.isConnected { for queue in queues { queue.letGoOfBuffers() } }
  }

  override func received(_ frame: Frame, queue: Int) -> ReceiveOutcome {
    switch queues[queue < queues.count ? queue : queue % queues.count].queue.transmit(frame) {
    case .done: .taken
    case .pending: .held
    case .dropped: .dropped
    }
  }

  override func transmitReady(queue: Int) {
    // All that go there, which are several when the back-end offers fewer queues than the interface has.
    for other in queues where other.number(of: plane.queueCount) == queue { other.queue.resume() }
  }
}

