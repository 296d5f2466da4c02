import DriverCommands
import LinuxSystem
import PVDriver

/// How long requests take, from ring to response: those of a short time, told by the back-end as to `pvio trace`.
struct LatencySample: Encodable, Equatable {
  var requests: Int
  var mean_nanoseconds: UInt64
  var p99_nanoseconds: UInt64

  /// Nil when there was no request.
  init?(nanoseconds: [UInt64]) {
    guard !nanoseconds.isEmpty else { return nil }
    let sorted = nanoseconds.sorted()
    requests = sorted.count
    mean_nanoseconds = sorted.reduce(0, &+) / UInt64(sorted.count)
    p99_nanoseconds = sorted[(sorted.count * 99 + 99) / 100 - 1]
  }

  /// Looks at several devices at once for `milliseconds`. Devices whose back-ends keep no trace are left out, and so are idle ones.
  static func take(of ids: [String], _ directory: RunDirectory, milliseconds: UInt64) async throws -> [String: LatencySample] {
    let readers = ids.compactMap { id in (try? TraceReader(path: directory.device(id).trace)).map { (id, $0) } }
    for (_, reader) in readers { reader.keepOn(nanoseconds: milliseconds * 2_000_000) }
    defer { for (_, reader) in readers { reader.turnOff() } }
    try await Task.sleep(for: .milliseconds(milliseconds))
    var samples: [String: LatencySample] = [:]
    for (id, reader) in readers { samples[id] = LatencySample(nanoseconds: reader.read().map(\.nanoseconds)) }
    return samples
  }
}
