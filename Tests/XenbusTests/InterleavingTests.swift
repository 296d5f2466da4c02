import Testing
import XenInterface
import Xenbus

/// Both ends through every interleaving. Each case allows some faults; together they would be too many states to visit.
@Suite struct InterleavingTests {
  static let cases: [(name: String, faults: DeviceModel.Faults)] = [
    ("nothing goes wrong", .init()),
    ("processes are killed", .init(backendKills: 2, frontendKills: 2)),
    ("operations fail", .init(backendKills: 1, frontendKills: 1, failures: 2)),
    ("ends are stopped", .init(backendKills: 1, frontendKills: 1, stops: 2)),
    ("ring rules are broken", .init(backendKills: 1, frontendKills: 1, stops: 1, violations: 1)),
    ("the device is removed", .init(backendKills: 1, frontendKills: 1, failures: 1, stops: 1, removal: true)),
    ("resume, resize, reconfigure", .init(backendKills: 1, frontendKills: 1, requests: 2)),
    ("peers are slow", .init(backendKills: 1, frontendKills: 1, failures: 1, stops: 1, deadlines: true)),
  ]

  @Test(arguments: cases.indices)
  func everyInterleavingKeepsTheRulesAndCanStillSettle(index: Int) {
    let (name, faults) = Self.cases[index]
    let exploration = Exploration(from: DeviceModel(faults), limit: 2_000_000)
    #expect(exploration.violation == nil, "\(name)")
    guard exploration.violation == nil else { return }
    let stuck = exploration.stuck { $0.isSettled }
    #expect(stuck == nil, "\(name)")
  }
}
