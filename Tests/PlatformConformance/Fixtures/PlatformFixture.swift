import XenInterface
import XenPlatform

/// One kind of platform with its hypervisor, set up for one test.
protocol PlatformFixture: AnyObject, Sendable {
  /// A connection of its own to the hypervisor, acting for `domain`, which exists afterwards.
  func platform(for domain: DomainID) throws -> any XenPlatform
  /// What a process's death does to everything that `platform` made.
  func kill(_ platform: any XenPlatform)
  /// Arenas, pages and ports that the hypervisor still knows of; empty when everything has been given back.
  func leaks() -> String
  /// Ends the hypervisor.
  func tearDown()
}

/// Which platform a conformance test runs on.
enum PlatformKind: String, CaseIterable, Sendable {
  case process

  func makeFixture(guestLimits: DomainLimits = .guest) throws -> any PlatformFixture {
    switch self {
    case .process: try ProcessFixture(guestLimits: guestLimits)
    }
  }

  /// Runs `body` on a fresh fixture, and checks that nothing is left behind in the hypervisor.
  func run(guestLimits: DomainLimits = .guest, _ body: (any PlatformFixture) throws -> Void) throws -> String {
    let fixture = try makeFixture(guestLimits: guestLimits)
    defer { fixture.tearDown() }
    try body(fixture)
    return eventually { fixture.leaks() == "" } ? "" : fixture.leaks()
  }
}
