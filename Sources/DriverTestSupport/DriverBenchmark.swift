public import PVDriver
import SharedRing
import XenInterface

/// How fast a driver's calls are, from client to engine and back, between two threads of this process.
public struct DriverBenchmark: Sendable, CustomStringConvertible {
  public var callCount: Int
  /// Calls in flight at once.
  public var depth: Int
  public var seconds: Double
  /// Of all calls, in nanoseconds.
  public var medianNanoseconds: UInt64
  public var tailNanoseconds: UInt64

  public var description: String {
    "\(callCount) calls, \(depth) at once: \(Int(Double(callCount) / max(seconds, 1e-9))) a second, median \(medianNanoseconds / 1000) µs, "
      + "99th percentile \(tailNanoseconds / 1000) µs"
  }

  /// Makes `callCount` calls, `depth` at once. Figures of a debug build say nothing.
  public static func run<Engine: RequestRingEngine>(
    _ engine: Engine.Type, options: [String: String] = [:], callCount: Int, depth: Int, receiving: Int = 0, sending: [UInt8] = []
  ) async throws -> DriverBenchmark {
    let pair = try await DriverPair<Engine>(options: options, polling: .standard)
    try await pair.startBackend()
    let client = pair.client
    let start = ContinuousClock.now
    let times = try await withThrowingTaskGroup(of: [UInt64].self) { group in
      for lane in 0..<depth {
        group.addTask {
          var times: [UInt64] = []
          for _ in 0..<(callCount / depth + (lane < callCount % depth ? 1 : 0)) {
            let begin = ContinuousClock.now
            _ = try await client.call(Engine.Interface.Request(), sending: sending, receiving: receiving)
            times.append(UInt64((ContinuousClock.now - begin) / .nanoseconds(1)))
          }
          return times
        }
      }
      return try await group.reduce(into: [UInt64]()) { $0 += $1 }
    }.sorted()
    let elapsed = ContinuousClock.now - start
    let left = await pair.finish()
    precondition(left.isEmpty, left)
    return DriverBenchmark(
      callCount: callCount, depth: depth, seconds: elapsed / .seconds(1), medianNanoseconds: times[times.count / 2],
      tailNanoseconds: times[min(times.count - 1, times.count * 99 / 100)])
  }
}
