import NetEngine
import Testing

@Suite struct RateLimitTests {
  @Test func theKeyIsBytesAndMicroseconds() {
    #expect(RateLimit("1250000,100000")?.byteCount == 1_250_000)
    for text in ["", "5", "5,", ",5", "5,5,5", "-1,5", "0,5", "5,0", "a,b", "5, 5", "99999999999999,1", "1,9999999999999"] {
      #expect(RateLimit(text) == nil, "\(text)")
    }
  }

  /// Whatever the frames' sizes, the long run is exact to well below 1 %.
  @Test(arguments: [(1_250_000, 100_000), (1_000, 1_000), (125_000_000, 1_000_000), (4096, 50_000)] as [(UInt64, UInt64)], [64, 1514, 65_535])
  func theLongRunIsExact(rate: (bytes: UInt64, microseconds: UInt64), frame: Int) throws {
    var limit = try #require(RateLimit(byteCount: rate.bytes, microseconds: rate.microseconds))
    let perNanosecond = Double(rate.bytes) / Double(rate.microseconds * 1000)
    // So long that one frame is no percentage of it.
    let end = max(UInt64(Double(frame) * 2000 / perNanosecond), 2_000_000_000)
    var now: UInt64 = 1_000_000
    let start = now
    var burst = limit.burstByteCount
    var sent: UInt64 = 0
    while now - start < end {
      let wait = limit.nanosecondsUntilAllowed(now: now)
      now += wait
      let isAllowed = limit.allows(now: now)
      #expect(isAllowed)
      limit.spend(byteCount: frame, now: now)
      if burst > 0 { burst -= Int64(frame) } else { sent += UInt64(frame) }
    }
    let ratio = Double(sent) / (Double(end) * perNanosecond)
    #expect(ratio > 0.99 && ratio < 1.01, "\(ratio)")
  }

  @Test func aPauseEarnsOneBurstAndNoMore() throws {
    var limit = try #require(RateLimit(byteCount: 1_000_000, microseconds: 1_000_000))
    for pause in [0, 10_000_000_000, UInt64.max / 4] as [UInt64] {
      var sent = 0
      while limit.allows(now: pause) {
        limit.spend(byteCount: 1000, now: pause)
        sent += 1000
      }
      #expect(sent == 1_000_000, "after \(pause)")
    }
  }
}
