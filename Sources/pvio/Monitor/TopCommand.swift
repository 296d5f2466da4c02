import ArgumentParser
import DriverCommands
import Glibc
import LinuxSystem
import PVDriver
import XenInterface

/// `pvio top`: what every device does at the moment, the busiest first.
struct TopCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top", abstract: "Show live rates and latencies of the devices.",
    discussion: """
      OPS/S are requests or frames of both directions. TO GUEST and FROM GUEST are bytes a second: reads and writes of a disk, frames to and \
      from an interface. MEAN and P99 are microseconds from ring to response, of the last tenth of a second; a '-' is a device whose back-end \
      keeps no trace, or that was idle then. CPU is that of the back-end's process, in percent of one processor.
      """)

  @OptionGroup var common: CommonOptions
  @Flag(name: .shortAndLong, help: "Print one table behind the other, as when the output is no terminal.") var batch = false
  @Option(name: .shortAndLong, help: "Seconds between two looks.") var delay = 2.0
  @Option(name: [.customShort("n"), .long], help: "End after so many looks (default: when a signal comes).") var count: Int?
  @Flag(help: "Print a JSON object a look, each on a line.") var json = false

  /// Twice the time for which a back-end may keep its figures to itself.
  private static let shortestDelay = 2 * StatusFile.delaySeconds
  private static let sampleMilliseconds: UInt64 = 100

  struct Row: Encodable {
    var id: String
    var domid: UInt16
    var kind: String
    var state: String
    var per_second: DeviceRates
    var in_flight: Int
    var latency: LatencySample?
  }

  private struct Look: Encodable {
    var unix_microseconds: UInt64
    var seconds: Double
    var devices: [Row]
  }

  /// What was seen at one moment.
  private struct Snapshot {
    var nanoseconds = MonotonicClock.nowNanoseconds
    /// The same moment, in seconds since 1970-01-01 UTC.
    var time = Double(WallClock.unixMicroseconds) / 1e6
    var devices: [(report: DeviceReport, figures: DeviceFigures)]
  }

  func validate() throws {
    if delay < Self.shortestDelay || !delay.isFinite { throw ValidationError("--delay is a number of seconds from \(Self.shortestDelay) up") }
    if let count, count < 1 { throw ValidationError("--count is a number of 1 or more") }
  }

  func run() async throws {
    Process.takeSignals()
    let isOver = StopRequest.bySignal()
    let redraws = !batch && !json && isatty(1) == 1
    var last = try await snapshot()
    var looks = 0
    while !isOver.isRaised, count.map({ looks < $0 }) ?? true {
      let pause = Double(Self.sampleMilliseconds) / 1000
      let wasInterrupted = await isOver.unlessRaised { [delay] in try? await Task.sleep(for: .seconds(delay - pause)) } == nil
      if wasInterrupted { break }
      let ids = last.devices.map(\.report.address.id)
      let latencies = try await LatencySample.take(of: ids, common.runDirectory, milliseconds: Self.sampleMilliseconds)
      let now = try await snapshot()
      let seconds = Double(now.nanoseconds - last.nanoseconds) / 1e9
      try show(rows(from: last, to: now, seconds: seconds, latencies), seconds: seconds, redraws: redraws)
      last = now
      looks += 1
    }
  }

  private func snapshot() async throws -> Snapshot {
    let reports = try await DeviceReport.all(common)
    return Snapshot(devices: reports.map { ($0, DeviceFigures($0)) })
  }

  private func rows(from earlier: Snapshot, to later: Snapshot, seconds: Double, _ latencies: [String: LatencySample]) -> [Row] {
    let before = Dictionary(uniqueKeysWithValues: earlier.devices.map { ($0.report.address.id, $0.figures) })
    let rows = later.devices.map { report, figures in
      let address = report.address
      // What was attached meanwhile has counted from zero.
      let rates = DeviceRates(from: before[address.id] ?? DeviceFigures(), at: earlier.time, to: figures, seconds: seconds)
      return Row(
        id: address.id, domid: address.domain.rawValue, kind: address.device.kind.name, state: report.stateText, per_second: rates,
        in_flight: figures.inFlight, latency: latencies[address.id])
    }
    return rows.sorted { ($1.per_second.operations, $0.id) < ($0.per_second.operations, $1.id) }
  }

  private func show(_ rows: [Row], seconds: Double, redraws: Bool) throws {
    if json {
      try printJSONLine(Look(unix_microseconds: WallClock.unixMicroseconds, seconds: seconds, devices: rows))
    } else {
      // Home, and nothing of the last look below.
      if redraws { print("\u{1B}[H\u{1B}[2J", terminator: "") }
      print(rows.isEmpty ? DeviceReport.noneText : Self.table(rows).text)
      if !redraws { print("") }
    }
    flushOutput()
  }

  private static func table(_ rows: [Row]) -> TextTable {
    var table = TextTable(header: ["ID", "KIND", "STATE", "OPS/S", "TO GUEST", "FROM GUEST", "IN FLIGHT", "MEAN us", "P99 us", "CPU %", "FAILED/S"])
    table.rows = rows.map { row in
      let rates = row.per_second
      func bytes(_ flow: DeviceRates.Flow) -> String { row.hasDirections ? ByteCount(UInt64(flow.bytes)).text : "-" }
      func microseconds(_ nanoseconds: UInt64?) -> String { nanoseconds.map { TraceRow.microseconds(Int64(clamping: $0)) } ?? "-" }
      return [
        row.id, row.kind, row.state, "\(UInt64(rates.operations))", bytes(rates.to_guest), bytes(rates.from_guest), "\(row.in_flight)",
        microseconds(row.latency?.mean_nanoseconds), microseconds(row.latency?.p99_nanoseconds),
        rates.processor_percent.map { "\(Int($0.rounded()))" } ?? "-", "\(UInt64(rates.failed))",
      ]
    }
    return table
  }
}

extension TopCommand.Row {
  /// Other devices' bytes go in one direction or the other, as the driver likes.
  fileprivate var hasDirections: Bool { [DeviceKind.disk, .net].contains { $0.name == kind } }
}
