public import PVDriver
import SharedRing
import XenInterface

/// How fast a driver's events are, from back-end to front-end or the other way, between two threads of this process.
public struct EventBenchmark: Sendable, CustomStringConvertible {
  public var callCount: Int
  public var seconds: Double

  public var description: String { "\(callCount) events: \(Int(Double(callCount) / max(seconds, 1e-9))) a second" }

  /// Sends `callCount` events to the front-end, a ring's worth at a time. Figures of a debug build say nothing.
  public static func run<Engine: EventRingEngine>(
    _ engine: Engine.Type, options: [String: String] = [:], callCount: Int
  ) async throws -> EventBenchmark where Engine.Device: DefaultDevice {
    let pair = try await EventDriverPair<Engine>(options: options, polling: .standard)
    try await pair.startBackend()
    let start = ContinuousClock.now
    var sent = 0
    while sent < callCount {
      let count = min(32, callCount - sent)
      for _ in 0..<count { pair.driver?.send(Engine.Device.ToFrontend()) }
      try await pair.receive(count)
      sent += count
    }
    let elapsed = ContinuousClock.now - start
    let left = await pair.finish()
    precondition(left.isEmpty, left)
    return EventBenchmark(callCount: callCount, seconds: elapsed / .seconds(1))
  }
}

/// How fast a driver takes bytes, between two threads of this process.
public struct StreamBenchmark: Sendable, CustomStringConvertible {
  public var byteCount: Int
  public var seconds: Double

  public var description: String { "\(byteCount) bytes: \(Int(Double(byteCount) / max(seconds, 1e-9) / 1e6)) MB a second" }

  /// Sends about `byteCount` bytes to the back-end, taking whatever comes back. Figures of a debug build say nothing.
  public static func run<Engine: ByteStreamEngine>(
    _ engine: Engine.Type, options: [String: String] = [:], byteCount: Int
  ) async throws -> StreamBenchmark {
    let pair = try await StreamDriverPair<Engine>(options: options, polling: .standard)
    try await pair.startBackend()
    let drain = pair.drain()
    let piece = [UInt8](repeating: 10, count: 64 << 10)
    let pieceCount = max(1, byteCount / piece.count)
    let start = ContinuousClock.now
    for _ in 0..<pieceCount { try await pair.client.send(piece) }
    try await pair.wait { $0.counters["bytes_from_guest"] ?? 0 >= UInt64(pieceCount * piece.count) }
    let elapsed = ContinuousClock.now - start
    let left = await pair.finish()
    await drain.value
    precondition(left.isEmpty, left)
    return StreamBenchmark(byteCount: pieceCount * piece.count, seconds: elapsed / .seconds(1))
  }
}
