import Foundation
import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

/// `PVIO_ROUNDS` runs more schedules than CI does, `PVIO_SEED` exactly one.
@Suite struct ModelTests {
  private static let limits = ReferenceStore.Limits()
  private static let operationCount = 1000
  /// Schedules are run in so many tests, to use all processors.
  private static let parts = 4

  private struct Failure {
    var index: Int
    var difference: String
  }

  /// Runs the operations up to the first difference; counts what was committed and what met a conflict.
  private static func run(_ operations: [Operation], _ counted: inout (commits: Int, conflicts: Int)) throws -> Failure? {
    let store = CoreUnderTest(limits: limits)
    var comparison = try Comparison(limits: limits, store: store)
    comparison.normalize = Comparison.withoutGeneration
    for (index, operation) in operations.enumerated() {
      if let difference = try comparison.perform(operation) { return Failure(index: index, difference: difference) }
      if index % 100 == 99 {
        let findings = store.core.checkConsistency()
        if !findings.isEmpty { return Failure(index: index, difference: "not consistent: \(findings)") }
      }
    }
    counted.commits += comparison.commits
    counted.conflicts += comparison.conflicts
    if comparison.model.conflictsBeyondTheRule > 0 {
      return Failure(index: operations.count - 1, difference: "\(comparison.model.conflictsBeyondTheRule) conflicts that Xen's store has not")
    }
    let last = operations.count - 1
    if comparison.model.clients[0]!.isOpen == false { _ = try comparison.perform(Operation(client: 0, kind: .connect)) }
    return try comparison.compareTrees(client: 0).map { Failure(index: last, difference: $0) }
  }

  /// The shortest prefix that fails, without the operations that it fails without.
  private static func shrink(_ operations: [Operation], _ failure: Failure) throws -> (operations: [Operation], difference: String) {
    var shortest = Array(operations[...failure.index])
    var difference = failure.difference
    var counted = (commits: 0, conflicts: 0)
    var step = shortest.count / 2
    while step > 0 {
      var index = 0
      while index < shortest.count {
        var fewer = shortest
        fewer.removeSubrange(index..<min(index + step, fewer.count))
        if let failure = try run(fewer, &counted) {
          shortest = Array(fewer[...min(failure.index, fewer.count - 1)])
          difference = failure.difference
        } else {
          index += step
        }
      }
      step /= 2
    }
    return (shortest, difference)
  }

  @Test(arguments: 0..<UInt64(parts))
  func theStoreAnswersEveryRequestAsTheReferenceDoes(part: UInt64) throws {
    let environment = ProcessInfo.processInfo.environment
    let rounds = environment["PVIO_ROUNDS"].flatMap { UInt64($0) } ?? 60
    var seeds = Array(stride(from: part + 1, through: rounds, by: Int(Self.parts)))
    if let seed = environment["PVIO_SEED"].flatMap({ UInt64($0) }) { seeds = part == 0 ? [seed] : [] }
    var counted = (commits: 0, conflicts: 0)
    for seed in seeds {
      let operations = Schedule(seed: seed, count: Self.operationCount).operations
      guard let failure = try Self.run(operations, &counted) else { continue }
      let (shortest, difference) = try Self.shrink(operations, failure)
      let text = shortest.map { "  \($0)" }.joined(separator: "\n")
      Issue.record("PVIO_SEED=\(seed), operation \(failure.index): \(failure.difference)\nshortest:\n\(text)\n\(difference)")
      return
    }
    // Schedules that hardly ever commit, or never meet, show nothing.
    if seeds.count > 4 { #expect(counted.commits > 10 * seeds.count && counted.conflicts > 2 * seeds.count, "\(counted)") }
  }
}
