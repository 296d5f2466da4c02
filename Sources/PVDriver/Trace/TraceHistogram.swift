/// How long requests took: counts by powers of two of nanoseconds.
public struct TraceHistogram: Sendable {
  /// Times from `lowest` nanoseconds on, below the next bucket's.
  public struct Bucket: Sendable, Equatable {
    public var lowest: UInt64
    public var count: Int
  }

  private var counts = [Int](repeating: 0, count: 65)
  public private(set) var count = 0
  public private(set) var sum: UInt64 = 0

  public init() {}

  public mutating func add(_ nanoseconds: UInt64) {
    counts[64 - nanoseconds.leadingZeroBitCount] += 1
    count += 1
    sum &+= nanoseconds
  }

  /// From the first to the last that is not empty.
  public var buckets: [Bucket] {
    guard let first = counts.firstIndex(where: { $0 > 0 }), let last = counts.lastIndex(where: { $0 > 0 }) else { return [] }
    return (first...last).map { Bucket(lowest: $0 == 0 ? 0 : 1 << UInt64($0 - 1), count: counts[$0]) }
  }
}
