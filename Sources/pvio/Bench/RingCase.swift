import SharedRing
import XenInterface

/// One case of the ring benchmark. Both sides do what the C peer does: 112-byte entries, a read of one segment there
/// (32 bytes written), a response back (16 bytes), nothing behind it.
struct RingCase {
  enum Figure { case requestsPerSecond, medianRoundTrip, idleProcessorTime }
  enum Waiting: String, CaseIterable { case polled, notified, adaptive }

  var name: String
  var figure: Figure
  var waiting: Waiting
  /// The ring has 2^order pages.
  var order: Int
  /// Requests in flight, at most what the ring holds.
  var depth: Int
  /// Requests of one round.
  var count: Int

  static let all = [
    RingCase(name: "polled-1page", figure: .requestsPerSecond, waiting: .polled, order: 0, depth: .max, count: 10_000_000),
    RingCase(name: "polled-8page", figure: .requestsPerSecond, waiting: .polled, order: 3, depth: .max, count: 20_000_000),
    RingCase(name: "notified-depth32", figure: .requestsPerSecond, waiting: .notified, order: 0, depth: 32, count: 1_000_000),
    RingCase(name: "rtt-polled", figure: .medianRoundTrip, waiting: .polled, order: 0, depth: 1, count: 500_000),
    RingCase(name: "rtt-notified", figure: .medianRoundTrip, waiting: .notified, order: 0, depth: 1, count: 50_000),
    RingCase(name: "rtt-adaptive", figure: .medianRoundTrip, waiting: .adaptive, order: 0, depth: 1, count: 500_000),
    RingCase(name: "idle-adaptive", figure: .idleProcessorTime, waiting: .adaptive, order: 0, depth: 1, count: 10_000),
  ]

  var unit: String {
    switch figure {
    case .requestsPerSecond: "ops/s"
    case .medianRoundTrip: "ns"
    case .idleProcessorTime: "ns of CPU per idle second"
    }
  }

  var better: BenchReport.Better { figure == .requestsPerSecond ? .higher : .lower }

  var byteCount: Int { pageByteCount << order }

  var policy: PollingPolicy {
    switch waiting {
    case .polled: .always
    case .notified: .never
    case .adaptive: .standard
    }
  }

  /// How the C peer is asked for the same; nil where it has nothing of the kind.
  var peerArguments: [String]? {
    if waiting == .adaptive { return nil }
    return ["\(order)", waiting.rawValue, "\(min(depth, 1 << 20))", "\(count)", figure == .medianRoundTrip ? "rtt" : "rate"]
  }
}
