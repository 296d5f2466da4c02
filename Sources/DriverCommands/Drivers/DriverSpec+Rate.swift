import EventLoop
import PVDriver

extension DriverSpec {
  /// The keys of a limit, for every driver whose requests the framework takes.
  static var rateKeys: [String] { ["iops", "bps"] }

  /// What `iops=` (requests a second) and `bps=` (bytes a second, as `4M`) ask for. Throws a usage failure.
  func rate() throws -> RequestRate {
    func value(_ key: String, _ expected: String, _ parse: (String) -> UInt64?) throws -> UInt64? {
      guard let text = self[key] else { return nil }
      guard let value = parse(text), value > 0, value <= 1 << 40 else { throw CommandFailure.usage("\(kind.name) \(self.text): expected \(key)=\(expected)") }
      return value
    }
    return RequestRate(
      requestsPerSecond: try value("iops", "1 or more requests a second") { UInt64($0) },
      bytesPerSecond: try value("bps", "bytes a second, such as 4M, at most 1T") { ByteCount($0)?.value })
  }
}
