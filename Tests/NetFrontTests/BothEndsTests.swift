import EventLoop
@testable import NetBack
import NetEngine
@testable import NetFront
import NetPackets
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform
import Xenbus

/// Our own back-end at the other end.
@Suite(.timeLimit(.minutes(5))) struct BothEndsTests {
  /// Sends back what comes, on the queue where it came.
  private final class EchoPort: NetPort {
    private var waiting: [(bytes: [UInt8], offload: FrameOffload, queue: Int)] = []
    private let frame = Frame.scratch(byteCount: 1 << 16)

    override var capabilities: FrameCapabilities { .all }

    override func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome {
      waiting.append((bytes: frame.bytes, offload: frame.offload, queue: queue))
      return .done
    }

    override func endOfTransmitBatch() {
      for echo in waiting {
        #expect(frame.fill(echo.bytes))
        frame.offload = echo.offload
        if case .delivered? = client?.receive(frame, queue: echo.queue) { continue }
        Issue.record("an echo of \(echo.bytes.count) bytes was not delivered")
      }
      waiting = []
      client?.endOfReceiveBatch()
    }
  }

  /// A front-end and a back-end on a loop each; the store's part is done by hand.
  private final class Fixture: Sendable {
    static let guest = DomainID(rawValue: 7)
    let hypervisor = SimulatedHypervisor(seed: 9)
    let threads: [EventLoopThread]
    let frontend: NetFrontend
    let front: NetFrontendDriver
    let back: NetBackendDriver

    init(queueCount: Int, keepsGrants: Bool) async throws {
      threads = [try EventLoopThread.start(name: "front"), try EventLoopThread.start(name: "back")]
      var configuration = NetFrontConfiguration()
      configuration.queueCount = queueCount
      configuration.transmitBufferCount = 2
      configuration.keepsGrantsMapped = keepsGrants
      frontend = NetFrontend(on: threads[0].loop, configuration: configuration)
      front = NetFrontendDriver(frontend, address: nil, platform: hypervisor.platform(for: Self.guest), notices: XenbusNotices())
      back = try await NetBackendDriver(
        loop: threads[1].loop, platform: hypervisor.platform(for: .control), notices: XenbusNotices()
      ) { _ in EchoPort() }
    }

    func connect() async throws {
      var offered = try await back.advertise()
      let keys = try await front.prepare(backend: directory(.backend, offered))
      offered.merge(try await back.connect(frontend: directory(.frontend, keys))) { _, new in new }
      try await front.connected(backend: directory(.backend, offered))
    }

    private func directory(_ side: XenbusSide, _ keys: [String: String]) -> XenbusDirectory {
      switch side {
      case .frontend: XenbusDirectory(side: side, path: "/local/domain/7/device/vif/0", domain: Self.guest, values: keys)
      case .backend: XenbusDirectory(side: side, path: "/local/domain/0/backend/vif/7/0", domain: .control, values: keys)
      }
    }

    /// Waits until the back-end has as many pages mapped.
    func waitUntilMapped(_ count: Int) async throws {
      var mapped = 0
      for _ in 0..<10_000 {
        mapped = await back.status().mappedPageCount
        if mapped == count { return }
        try await Task.sleep(for: .milliseconds(1))
      }
      Issue.record("\(mapped) pages are mapped, not \(count)")
    }

    /// The back-end lets go first, as the life cycle has it.
    func disconnect() async {
      await back.disconnect()
      await front.disconnect()
    }

    func finish() async {
      await back.close()
      await frontend.close()
      #expect(await frontend.counters().quarantinedPages == 0)
      #expect(hypervisor.ledger.leaks.isEmpty, "\(hypervisor.ledger.leaks)")
      for thread in threads { thread.stopAndJoin() }
    }
  }

  /// TCP over IPv4 that is still to be cut.
  private static func largeFrame(byteCount: Int) -> NetFrame {
    let length = byteCount - 14
    var bytes: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 8, 0, 0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0, 0, 0x40, 0, 64, 6, 0, 0]
    bytes += [10, 0, 0, 1, 10, 0, 0, 2]
    bytes += [0, 80, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 16, 0, 0, 0, 0, 0, 0]
    bytes += pattern(byteCount - bytes.count)
    var offload = FrameOffload()
    offload.needsChecksum = true
    offload.segmentation = .tcpv4
    offload.segmentByteCount = 1448
    return NetFrame(bytes, offload: offload)
  }

  @Test(arguments: [(1, true), (2, true), (1, false)])
  func framesOfAllSizesGoBothWaysThroughGrantsThatAreKeptOrNot(queueCount: Int, keepsGrants: Bool) async throws {
    let fixture = try await Fixture(queueCount: queueCount, keepsGrants: keepsGrants)
    let kept = min(KeptGrants.capacity, 512 + 640 + 2 * TransmitBuffers.pagesPerRun)
    // Again with pages of its own: what was kept before is forgotten.
    for _ in 0..<2 {
      try await fixture.connect()
      try await fixture.waitUntilMapped(2 * queueCount + (keepsGrants ? 1 + queueCount * kept : 0))
      var echoes = await fixture.frontend.frames().makeAsyncIterator()
      for round in 0..<8 {
        let sent = [NetFrame(pattern(64)), NetFrame(pattern(1500)), Self.largeFrame(byteCount: 40_000)]
        #expect(await fixture.frontend.send(sent, queue: round % queueCount) == sent.count)
        for frame in sent {
          let next = await echoes.next()
          let echo = try #require(next)
          #expect(echo.bytes == frame.bytes && echo.offload.segmentation == frame.offload.segmentation, "\(frame.bytes.count) bytes in round \(round)")
        }
      }
      let queues = await fixture.back.status().queues
      #expect(queues.count == queueCount && queues.allSatisfy { $0.fault == nil })
      await fixture.disconnect()
    }
    await fixture.finish()
  }
}
