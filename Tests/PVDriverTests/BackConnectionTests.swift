import PVDriver
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform

/// The one connection that a back-end has at a time.
@Suite struct BackConnectionTests {
  private final class Plane: BackPlane {
    private(set) var stopCount = 0
    private var stopping: ((Int) -> Void)?

    func stop(_ done: @escaping (_ leakedPageCount: Int) -> Void) {
      stopCount += 1
      stopping = done
    }

    func finish(leaking count: Int) { stopping?(count) }
  }

  private enum Failure: BackConnectError, Equatable {
    case platform(PlatformError)
    case alreadyConnected
    case refused
  }

  private let hypervisor = SimulatedHypervisor(seed: 1)
  private let platform: SimulatedPlatform
  private let guest = DomainID(rawValue: 7)
  private let connection = BackConnection<Plane>()

  init() {
    _ = hypervisor.platform(for: guest)
    platform = hypervisor.platform(for: .control)
  }

  private func begin(_ plane: Plane = Plane()) throws(Failure) {
    try connection.begin(with: guest, platform) { _ throws(Failure) in plane }
  }

  @Test func everybodyWhoAsksForTheEndIsToldOnce() throws {
    let plane = Plane()
    try begin(plane)
    var told: [Int] = []
    for _ in 0..<3 { connection.end { told.append($0) } }
    #expect(connection.isEnding && told.isEmpty && plane.stopCount == 1)
    plane.finish(leaking: 2)
    #expect(told == [2, 2, 2])
    #expect(!connection.isEnding && connection.plane == nil)
    connection.end { told.append($0) }
    #expect(told == [2, 2, 2, 0], "there is nothing to wait for")
    try begin()
  }

  @Test func aSecondFrontendIsRefusedUntilTheFirstHasGone() throws {
    let first = Plane()
    try begin(first)
    #expect(throws: Failure.alreadyConnected) { try begin() }
    connection.end { _ in }
    #expect(throws: Failure.alreadyConnected) { try begin() }
    #expect(connection.plane === first)
    first.finish(leaking: 0)
    try begin()
  }

  @Test func whatCannotBeTakenUpLeavesNothingConnected() {
    #expect(throws: Failure.refused) {
      try connection.begin(with: guest, platform) { _ throws(Failure) -> Plane in throw .refused }
    }
    let reason = PlatformError.noSuchDomain(guest)
    hypervisor.changeFaults { $0.fail(.foreignGrants, ordinal: 1, with: reason) }
    #expect(throws: Failure.platform(reason)) { try begin() }
    #expect(connection.plane == nil)
  }
}
