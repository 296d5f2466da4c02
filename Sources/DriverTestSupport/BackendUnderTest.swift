import EventLoop
import PVDriver
import SharedRing
import SimulatedPlatform
import XenInterface
import XenPlatform
import Xenbus

/// A driver's back-end without a store: connected by hand to front-ends that a test makes up.
final class BackendUnderTest<Driver: ServedDriver> {
  let hypervisor = SimulatedHypervisor(seed: 1)
  /// Of the front-end's domain.
  let frontPlatform: SimulatedPlatform
  let driver: Driver
  private let thread: EventLoopThread

  init(options: [String: String]) async throws {
    frontPlatform = hypervisor.platform(for: rawFrontendDomain)
    thread = try EventLoopThread.start(name: "back")
    var setup = BackendSetup(loop: thread.loop, platform: hypervisor.platform(for: .control), notices: XenbusNotices())
    setup.options = options
    setup.polling = .never
    setup.logger = silent
    driver = try await .open(setup)
  }

  /// Connects to a front-end that has written `keys`.
  func connect(_ keys: [String: String]) async throws {
    _ = try await driver.connect(
      frontend: XenbusDirectory(side: .frontend, path: "/frontend", domain: rawFrontendDomain, values: keys))
  }

  /// Waits until the back-end has nothing to do any more, as far as can be seen: nothing is in flight and nothing has changed for
  /// a while. Bounded, because an engine may never answer.
  func settle() async -> DriverReport {
    var last = await driver.report()
    var quietTurns = 0
    for _ in 0..<2000 where quietTurns < 5 {
      try? await Task.sleep(for: .milliseconds(1))
      let now = await driver.report()
      quietTurns = now.requests == last.requests && now.bytes == last.bytes && now.inFlight == 0 ? quietTurns + 1 : 0
      last = now
    }
    return last
  }

  /// Ends the connection. Returns what is left of it.
  func disconnect() async -> String {
    await driver.disconnect()
    let mapped = await driver.report().mappedPageCount
    return mapped == 0 ? "" : "\(mapped) pages are still mapped; "
  }

  func finish() async -> String {
    await driver.close()
    thread.stopAndJoin()
    let account = hypervisor.ledger[.control]
    return account == ResourceLedger.Account() ? "" : "the back-end's domain still has \(account); "
  }
}

/// Whose front-ends the hostile ones are.
let rawFrontendDomain = DomainID(rawValue: 7)
