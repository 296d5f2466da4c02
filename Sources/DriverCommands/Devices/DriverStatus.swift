/// What the back-end of a driver says of itself, for `pvio status` and `pvio list`, in a file that is replaced in one step.
///
/// The fields of the file are what drivers have in common; what one has beyond them is in ``counters`` and ``notes``.
public struct DriverStatus: Codable, Equatable, Sendable {
  /// A front-end is connected.
  public var connected = false
  public var requests: UInt64 = 0
  public var bytes: UInt64 = 0
  public var failures: UInt64 = 0
  /// Requests that broke a rule and were answered without reaching the device.
  public var rejections: UInt64 = 0
  public var in_flight: UInt64 = 0
  public var events: UInt64 = 0
  public var spurious_events: UInt64 = 0
  public var signals: UInt64 = 0
  public var mapped_pages = 0
  /// What broke the connection.
  public var fault: String?
  /// What else the driver counts, by name.
  public var counters: [String: UInt64] = [:]
  /// What a user should know.
  public var notes: [String] = []

  public init() {}

  /// For people.
  public var lines: [String] {
    var lines = ["  served:    \(requests) requests, \(ByteCount(bytes).text) bytes, \(in_flight) in flight, \(failures) failed"]
    if rejections > 0 { lines.append("  refused:   \(rejections) requests that broke a rule") }
    lines.append("  events:    \(events) (\(spurious_events) spurious), \(signals) signals\(fault.map { "; broken: \($0)" } ?? "")")
    lines += counters.sorted { $0.key < $1.key }.map { "  \($0.key): \($0.value)" }
    return lines + notes.map { "  note:      \($0)" }
  }
}
