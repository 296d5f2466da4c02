import ArgumentParser
import DriverCommands
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
    var backend: DiskStatus?
    var net: NetStatus?
    var driver: DriverStatus?
  }

  private struct Listing: Encodable {
    var devices: [Row]
    var switches: [SwitchStatus]
  }

  func run() async throws {
    let reports = try await DeviceReport.all(common, id: id)
    if let id, reports.isEmpty { throw CommandFailure("there is no device called \(id): see 'pvio list'") }
    if json {
      return try printJSON(
        Listing(
          devices: reports.map { Row(device: .init($0), diagnosis: $0.diagnosis, backend: $0.disk, net: $0.net, driver: $0.driver) }, switches: switches(of: reports)))
    }
    if reports.isEmpty { print(DeviceReport.noneText) }
    for report in reports { print(text(report)) }
    for status in switches(of: reports) { print(status.lines.joined(separator: "\n")) }
  }

  /// Those that serve one of the devices.
  private func switches(of reports: [DeviceReport]) -> [SwitchStatus] {
    Set(reports.compactMap(\.switchName)).sorted().compactMap {
      readJSON(SwitchStatus.self, from: common.runDirectory.virtualSwitch($0).status)
    }
  }

  private func text(_ report: DeviceReport) -> String {
    var lines = ["\(report.address.id): \(report.diagnosis)"]
    func process(_ pid: Int32?) -> String { pid.map { "process \($0)" } ?? "no process" }
    if report.vhostUserSocket == nil {
      lines.append("  front-end: state \(report.frontend), \(process(report.frontendProcess))")
    }
    lines.append("  back-end:  state \(report.backend), \(process(report.backendProcess)), \(report.source)")
    if report.restarts > 0 { lines.append("  restarts:  \(report.restarts): what was under way each time was done again by the next back-end") }
    if let status = report.disk { lines += status.lines }
    if let status = report.net { lines += status.lines(mac: report.mac) }
    if let status = report.driver { lines += status.lines }
    return lines.joined(separator: "\n")
  }
}

extension DiskStatus {
  /// For people.
  fileprivate var lines: [String] {
    var lines: [String] = []
    lines.append(
      "  disk:      \(ByteCount(bytes).text), \(sector_bytes)-byte sectors\(read_only ? ", read-only" : "")")
    lines.append(
      "  served:    \(reads) reads (\(ByteCount(read_bytes).text)), \(writes) writes "
        + "(\(ByteCount(written_bytes).text)), \(flushes) flushes, \(discards) discards")
    if failures > 0 { lines.append("  failed:    \(failures) requests, last: \(last_failure ?? "unknown")") }
    if refusals > 0 { lines.append("  refused:   \(refusals) requests that the disk does not allow") }
    for (number, queue) in queues.enumerated() {
      lines.append("  queue \(number):   \(queue.entries) entries, \(queue.in_flight) in flight, \(queue.requests) requests, \(queue.eventText)")
    }
    lines += notices.map { "  note:      \($0)" }
    return lines
  }
}

extension NetStatus {
  /// For people.
  fileprivate func lines(mac: String?) -> [String] {
    var lines = ["  interface: \(mac ?? "no address"), link \(carrier ? "up" : "down")"]
    lines.append(
      "  passed:    \(transmitted_frames) frames from the guest (\(ByteCount(transmitted_bytes).text)), \(received_frames) to it "
        + "(\(ByteCount(received_bytes).text))")
    if transmit_errors + transmit_drops > 0 {
      lines.append("  lost:      \(transmit_errors) of the guest's frames broke a rule, \(transmit_drops) were not taken behind the port")
    }
    if !receive_drops.isEmpty {
      let reasons = receive_drops.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key.replacing("_", with: " "))" }
      lines.append("  lost:      frames for the guest: \(reasons.joined(separator: ", "))")
    }
    if let port { lines += port.lines("  port:      ") }
    for (number, queue) in queues.enumerated() {
      lines.append("  queue \(number):   \(queue.in_flight) frames under way, \(queue.waiting) waiting for the guest, \(queue.eventText)")
    }
    return lines
  }
}

extension EventStatus {
  /// For people: what the line of every queue ends with.
  fileprivate var eventText: String {
    "\(events) events (\(spurious_events) spurious), \(signals) signals\(fault.map { ", broken: \($0)" } ?? "")"
  }
}
