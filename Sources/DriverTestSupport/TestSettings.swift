import Foundation

/// What whoever runs the tests can ask for, in the environment.
public enum TestSettings {
  /// How long each driver is given random input, in seconds (`PVIO_FUZZ_SECONDS`).
  public static var fuzzSeconds: Double { number("PVIO_FUZZ_SECONDS") ?? 1 }
  /// Where random input begins (`PVIO_FUZZ_SEED`), so that a failure can be repeated.
  public static var seed: UInt64 { number("PVIO_FUZZ_SEED").map(UInt64.init) ?? 1 }
  /// Whether benchmarks are run (`PVIO_BENCHMARK`).
  public static var benchmarks: Bool { number("PVIO_BENCHMARK") == 1 }
  /// Calls of a benchmark (`PVIO_BENCHMARK_CALLS`).
  public static var callCount: Int { number("PVIO_BENCHMARK_CALLS").map(Int.init) ?? 2000 }

  private static func number(_ name: String) -> Double? { ProcessInfo.processInfo.environment[name].flatMap(Double.init) }
}

/// An asynchronous run inside a call that must not return before it has ended.
public enum FuzzRun {
  /// Traps, for the fuzzer to see, when `body` returns something wrong or throws.
  public static func wait(_ body: @escaping @Sendable () async throws -> String) {
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      do {
        let wrong = try await body()
        precondition(wrong.isEmpty, wrong)
      } catch {
        fatalError("\(error)")
      }
      done.signal()
    }
    done.wait()
  }
}
