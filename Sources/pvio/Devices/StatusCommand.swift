import ArgumentParser
import XenInterface

/// `pvio status`: how every device is, and what to do where it is not connected.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "status", abstract: "Show how devices are, and what keeps one from connecting.")

  @OptionGroup var common: CommonOptions
  @Flag(help: "Print JSON.") var json = false
  @Argument(help: "Only this device, by id.") var id: String?

  private struct Row: Encodable {
    var device: ListCommand.Row
    var diagnosis: String
    var backend: DiskStatusFile.Contents?
  }

  func run() async throws {
    let directory = common.runDirectory
    let reports = try await withStore(common) { store in
      var reports: [DeviceReport] = []
      for address in try await DeviceAddress.all(store) where id == nil || address.id == id {
        reports.append(try await DeviceReport.read(address, directory, store))
      }
      return reports
    }
    if let id, reports.isEmpty { throw CommandFailure("there is no device called \(id): see 'pvio list'") }
    if json {
      return try printJSON(["devices": reports.map { Row(device: .init($0), diagnosis: $0.diagnosis, backend: $0.status) }])
    }
    if reports.isEmpty { print("no devices: attach one with 'pvio attach DOMAIN disk file=PATH'") }
    for report in reports { print(text(report)) }
  }

  private func text(_ report: DeviceReport) -> String {
    var lines = ["\(report.address.id): \(report.diagnosis)"]
    func process(_ pid: Int32?) -> String { pid.map { "process \($0)" } ?? "no process" }
    lines.append("  front-end: state \(report.frontend), \(process(report.frontendProcess))")
    lines.append("  back-end:  state \(report.backend), \(process(report.backendProcess)), \(report.parameters)")
    guard let status = report.status else { return lines.joined(separator: "\n") }
    lines.append(
      "  disk:      \(ByteCount(status.bytes).text), \(status.sector_bytes)-byte sectors\(status.read_only ? ", read-only" : "")")
    lines.append(
      "  served:    \(status.reads) reads (\(ByteCount(status.read_bytes).text)), \(status.writes) writes "
        + "(\(ByteCount(status.written_bytes).text)), \(status.flushes) flushes, \(status.discards) discards")
    if status.failures > 0 { lines.append("  failed:    \(status.failures) requests, last: \(status.last_failure ?? "unknown")") }
    if status.refusals > 0 { lines.append("  refused:   \(status.refusals) requests that the disk does not allow") }
    for (number, queue) in status.queues.enumerated() {
      lines.append(
        "  queue \(number):   \(queue.entries) entries, \(queue.in_flight) in flight, \(queue.requests) requests, \(queue.events) events "
          + "(\(queue.spurious_events) spurious), \(queue.signals) signals\(queue.fault.map { ", broken: \($0)" } ?? "")")
    }
    lines += status.notices.map { "  note:      \($0)" }
    return lines.joined(separator: "\n")
  }
}
