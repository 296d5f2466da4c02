import ArgumentParser
import DriverCommands
import LinuxSystem
import PVDriver
import SystemPackage
import XenInterface

/// `pvio trace`: what a device's requests are doing, while they do it.
struct TraceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace", abstract: "Show live requests of a device, with the time of each of their steps.",
    discussion: """
      Times are in microseconds from when the back-end took the request off its ring. 'grant' and 'done' are the front-end's: a back-end does
      not see them. A '-' is a step that there was not: an event for a request that was found by looking, a map for a device that needs none.
      """)

  @OptionGroup var common: CommonOptions
  @Option(help: "End after so many (default: when a signal comes).") var requests: Int?
  @Flag(help: "Print how long they took as a histogram at the end, and no single ones.") var histogram = false
  @Flag(help: "Print JSON at the end.") var json = false
  @Argument(help: "The device, by id ('pvio list').") var device: String

  /// How long the back-end is asked for records beyond the next look.
  private static let onNanoseconds: UInt64 = 2_000_000_000

  func validate() throws {
    if let requests, requests < 1 { throw ValidationError("--requests is a number of 1 or more") }
  }

  func run() async throws {
    let known = try await withStore(common) { store in try await DeviceAddress.all(store).contains { $0.id == device } }
    guard known else { throw CommandFailure("there is no device called \(device): see 'pvio list'") }
    let reader: TraceReader
    let files = common.runDirectory.device(device)
    do throws(Errno) { reader = try TraceReader(path: files.trace) } catch {
      throw CommandFailure("\(device) cannot be traced: its back-end keeps no trace (\(files.trace): \(error))")
    }
    defer { reader.turnOff() }
    Process.takeSignals()
    let isOver = StopRequest.bySignal()
    try await follow(reader, isOver)
  }

  private func follow(_ reader: TraceReader, _ isOver: StopRequest) async throws {
    var kept: [TraceRow] = []
    var times = TraceHistogram()
    if !json, !histogram { printLine(TraceRow.title) }
    while !isOver.isRaised, requests.map({ times.count < $0 }) ?? true {
      reader.keepOn(nanoseconds: Self.onNanoseconds)
      for record in reader.read() where requests.map({ times.count < $0 }) ?? true {
        times.add(record.nanoseconds)
        let row = TraceRow(record, operation: reader.operationName(record.operation), fields: reader.fields)
        if json, !histogram { kept.append(row) } else if !json, !histogram { printLine(row.text) }
      }
      flushOutput()
      try await Task.sleep(for: .milliseconds(10))
    }
    let report = TraceReport(device: device, count: times.count, lost: reader.lostCount, requests: kept, histogram: times)
    if json { return try printJSON(report) }
    if histogram { print(report.text) }
    if reader.lostCount > 0 { print("\(reader.lostCount) more requests were too fast to be told of") }
  }

  private func printLine(_ text: String) { print(text) }
}

/// One request, for people and programs.
struct TraceRow: Encodable {
  var number: UInt32
  var queue: Int
  var operation: String
  var status: Int
  var bytes: UInt64
  var position: UInt64
  /// The driver's own fields, by name.
  var fields: [String: Value]
  /// By step, nanoseconds from when it was taken off the ring; a step that there was not is not there.
  var steps: [String: Int64]

  /// A field's value as it is read: a JSON number.
  struct Value: Encodable {
    var field: TraceField
    var bits: UInt64

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      if field.isSigned { try container.encode(Int64(bitPattern: bits)) } else { try container.encode(bits) }
    }
  }

  init(_ record: TraceRecord, operation: String, fields told: [TraceField]) {
    number = record.number
    queue = record.queue
    self.operation = operation
    status = record.status
    bytes = record.byteCount
    position = record.position
    fields = [:]
    for (index, field) in told.enumerated() { fields[field.name] = Value(field: field, bits: record.value(at: index)) }
    steps = [:]
    let start = record[.ring] ?? 0
    for step in TraceStep.allCases {
      if let time = record[step] { steps["\(step)"] = Int64(bitPattern: time &- start) }
    }
  }

  private static let columns: [(name: String, width: Int)] =
    [("request", 8), ("queue", 6), ("operation", 12), ("bytes", 9), ("at", 14)] + TraceStep.allCases.map { ($0.name, 9) } + [("status", 7)]

  static var title: String { columns.map { padded($0.name, $0.width) }.joined() }

  var text: String {
    let values = ["\(number)", "\(queue)", operation, "\(bytes)", "\(position)"]
      + TraceStep.allCases.map { step in steps["\(step)"].map(Self.microseconds) ?? "-" } + [status == 0 ? "okay" : "\(status)"]
    return zip(values, Self.columns).map { Self.padded($0, $1.width) }.joined() + fieldText
  }

  /// ` number=41 place=0`.
  private var fieldText: String {
    fields.sorted { $0.key < $1.key }.map { "  \($0)=\($1.field.text($1.bits))" }.joined()
  }

  static func microseconds(_ nanoseconds: Int64) -> String {
    let tenths = nanoseconds / 100
    return "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
  }

  private static func padded(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(1, width - text.count)) + text }
}

/// What was traced, at the end.
struct TraceReport: Encodable {
  struct Bucket: Encodable {
    var nanoseconds_from: UInt64
    var requests: Int
  }

  var device: String
  var count: Int
  var lost: Int
  var requests: [TraceRow]
  var mean_nanoseconds: UInt64
  var histogram: [Bucket]

  init(device: String, count: Int, lost: Int, requests: [TraceRow], histogram: TraceHistogram) {
    self.device = device
    self.count = count
    self.lost = lost
    self.requests = requests
    mean_nanoseconds = histogram.count > 0 ? histogram.sum / UInt64(histogram.count) : 0
    self.histogram = histogram.buckets.map { Bucket(nanoseconds_from: $0.lowest, requests: $0.count) }
  }

  /// A line a bucket, with a bar.
  var text: String {
    let most = histogram.map(\.requests).max() ?? 1
    let lines = histogram.map { bucket in
      let from = "\(TraceRow.microseconds(Int64(clamping: bucket.nanoseconds_from))) us"
      let number = "\(bucket.requests)"
      return String(repeating: " ", count: max(0, 14 - from.count)) + from + String(repeating: " ", count: max(1, 10 - number.count)) + number + "  "
        + String(repeating: "#", count: (bucket.requests * 50 + most - 1) / most)
    }
    return (["\(count) requests, \(TraceRow.microseconds(Int64(clamping: mean_nanoseconds))) us each on average, from ring to response"] + lines).joined(separator: "\n")
  }
}
