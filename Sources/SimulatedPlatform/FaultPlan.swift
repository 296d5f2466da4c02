import TestSupport
public import XenPlatform

/// Which calls of a simulated hypervisor fail, and how. Deterministic: the same seed and the same calls fail the same way.
public struct FaultPlan: Sendable {
  /// The kinds of calls that can fail, each counted on its own over all domains.
  public enum Call: Sendable, Hashable, CaseIterable {
    case makeGrantArena, foreignGrants, allocateUnboundChannel, bindInterdomainChannel
    /// The first mapping of a page of an arena.
    case openArena
    /// `ForeignGrants.map` and `mapContiguously`.
    case map
  }

  private var callCounts: [Call: Int] = [:]
  private var failures: [Call: [Int: PlatformError]] = [:]
  private var randomOneIn: [Call: UInt64] = [:]
  private var random: SeededGenerator

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  /// Lets the `ordinal`-th call of a kind from now on fail (1 is the next one).
  public mutating func fail(_ call: Call, ordinal: Int, with error: PlatformError) {
    precondition(ordinal > 0, "the next call is number 1")
    failures[call, default: [:]][callCounts[call, default: 0] + ordinal] = error
  }

  /// Lets one in `count` calls of a kind fail from now on, at random; nil ends that.
  public mutating func failRandomly(_ call: Call, oneIn count: UInt64?) {
    precondition(count != 0, "one in no calls")
    randomOneIn[call] = count
  }

  /// How many calls of a kind have been made.
  public func count(of call: Call) -> Int { callCounts[call, default: 0] }

  mutating func check(_ call: Call) throws(PlatformError) {
    callCounts[call, default: 0] += 1
    let ordinal = callCounts[call, default: 0]
    if let error = failures[call]?.removeValue(forKey: ordinal) { throw error }
    if let count = randomOneIn[call], random.next() % count == 0 {
      throw .refused(operation: "\(call)", reason: "the fault plan wants call \(ordinal) to fail")
    }
  }
}
