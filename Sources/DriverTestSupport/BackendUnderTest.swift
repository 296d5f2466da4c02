import EventLoop
import PVDriver
import SharedRing
import SimulatedPlatform
import XenInterface
import XenPlatform
import Xenbus

/// A driver's back-end without a store: connected by hand to front-ends that a test makes up.
final class BackendUnderTest<Engine: RequestRingEngine> {
  let hypervisor = SimulatedHypervisor(seed: 1)
  private let backPlatform: SimulatedPlatform
  private let frontPlatform: SimulatedPlatform
  private let thread: EventLoopThread
  private let driver: RequestRingBackendDriver<Engine>

  init(options: [String: String]) async throws {
    backPlatform = hypervisor.platform(for: .control)
    frontPlatform = hypervisor.platform(for: RawFrontend<Engine.Interface>.domain)
    thread = try EventLoopThread.start(name: "back")
    driver = try await RequestRingBackendDriver<Engine>.open(
      options: options, loop: thread.loop, platform: backPlatform, notices: XenbusNotices(), polling: .never, logger: silent)
  }

  /// A new front-end, connected.
  func connect(startingAt index: RingIndex) async throws -> RawFrontend<Engine.Interface> {
    let front = try RawFrontend<Engine.Interface>(frontPlatform, startingAt: index)
    _ = try await driver.connect(frontend: front.directory)
    return front
  }

  /// Waits until the back-end has nothing to do any more, as far as can be seen: nothing is in flight and nothing has changed for
  /// a while. Bounded, because an engine may never answer.
  func settle() async -> RequestRingCounters {
    var last = await driver.status().counters
    var quietTurns = 0
    for _ in 0..<2000 where quietTurns < 5 {
      try? await Task.sleep(for: .milliseconds(1))
      let now = await driver.status().counters
      quietTurns = now.requests == last.requests && now.inFlight == 0 ? quietTurns + 1 : 0
      last = now
    }
    return last
  }

  /// Ends the connection. Returns what is left of it.
  func disconnect() async -> String {
    await driver.disconnect()
    let mapped = await driver.status().counters.mappedPageCount
    return mapped == 0 ? "" : "\(mapped) pages are still mapped; "
  }

  func finish() async -> String {
    await driver.disconnect()
    thread.stopAndJoin()
    let account = hypervisor.ledger[.control]
    return account == ResourceLedger.Account() ? "" : "the back-end's domain still has \(account); "
  }
}
