import Testing
import XenInterface
import XenPlatform

/// One kind of platform with its hypervisor, set up for one test.
protocol PlatformFixture: AnyObject, Sendable {
  /// A process of its own, acting for `domain`, which is made if it does not exist.
  func platform(for domain: DomainID) throws -> any XenPlatform
  /// What the death of the process does to everything that `platform` made.
  func kill(_ platform: any XenPlatform)
  func destroy(_ domain: DomainID) throws
  /// What the hypervisor still knows of; empty when everything has been given back.
  func leaks() -> String
  func tearDown()
  /// Removes what the hypervisor has in the file system, for a test whose process will not live to tear it down.
  func removeFiles()
}

/// Which platform a conformance test runs on.
enum PlatformKind: String, CaseIterable, Sendable {
  case process, simulated

  /// Runs `body` on a fresh platform, and checks that nothing is left behind in the hypervisor.
  func run(guestLimits: DomainLimits = .guest, _ body: (any PlatformFixture) throws -> Void) throws {
    let fixture: any PlatformFixture =
      switch self {
      case .process: try ProcessFixture(guestLimits: guestLimits)
      case .simulated: SimulatedFixture(guestLimits: guestLimits)
      }
    defer { fixture.tearDown() }
    try body(fixture)
    _ = eventually { fixture.leaks() == "" }
    #expect(fixture.leaks() == "")
  }
}

extension DomainID {
  static let front = DomainID(rawValue: 1)
  static let other = DomainID(rawValue: 2)
}
