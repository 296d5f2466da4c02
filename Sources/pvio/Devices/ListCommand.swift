import ArgumentParser
import DriverCommands
import PVDriver
import XenInterface

/// `pvio list`: every device, a line each.
struct ListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "list", abstract: "List the devices.")

  @OptionGroup var common: CommonOptions
  @Flag(help: "Print JSON.") var json = false

  struct Row: Encodable {
    var id: String
    var domid: UInt16
    var kind: String
    var device: String
    var frontend_state: UInt32
    var backend_state: UInt32
    var frontend_pid: Int32?
    var backend_pid: Int32?
    var source: String
    var bytes: UInt64?
    var read_only: Bool?
    var mac: String?

    init(_ report: DeviceReport) {
      id = report.address.id
      domid = report.address.domain.rawValue
      kind = report.address.device.kind.name
      device = report.address.device.name
      frontend_state = report.frontend.rawValue
      backend_state = report.backend.rawValue
      frontend_pid = report.frontendProcess
      backend_pid = report.backendProcess
      source = report.source
      bytes = report.byteCount
      read_only = report.address.device.kind == .disk ? report.isReadOnly : nil
      mac = report.mac
    }
  }

  func run() async throws {
    let rows = try await DeviceReport.all(common).map { Row($0) }
    if json { return try printJSON(["devices": rows]) }
    var table = TextTable(header: ["ID", "DOMID", "KIND", "DEVICE", "FRONT", "BACK", "FRONT PID", "BACK PID", "SIZE", "SOURCE"])
    table.rows = rows.map {
      [
        $0.id, "\($0.domid)", $0.kind, $0.device, "\($0.frontend_state)", "\($0.backend_state)", $0.frontend_pid.map(String.init) ?? "-",
        $0.backend_pid.map(String.init) ?? "-", $0.bytes.map { ByteCount($0).text } ?? "-", $0.source,
      ]
    }
    print(table.text)
  }
}
