import ArgumentParser
import DriverCommands
import LinuxSystem
import PVDriver
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio attach`: gives a domain a device of a running daemon, served by a back-end process of its own.
struct AttachCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "attach", abstract: "Attach a device to a domain of a running daemon.")

  @OptionGroup var common: CommonOptions
  @Option(help: "The name in the domain, such as xvdb or vif1 (default: the first that is free).") var device: String?
  @Option(help: ArgumentHelp("On a Xen host: what the back-end's directory is called (default: pvio-vbd, pvio-vif).", valueName: "type")) var type: String?
  @Flag(help: "Print JSON.") var json = false
  @Argument(help: "The domain, by number or name.") var domain: String
  @Argument(help: "disk, net, or another kind that 'pvio backend' lists.") var kind: String
  @Argument(help: "What to serve ('help' lists the keys of disk and net).") var spec = ""

  private struct Result: Encodable {
    var id: String
    var domid: UInt16
    var device: String
    var backend_pid: Int32
    /// Where a VMM connects, for a device of one.
    var socket: String?
  }

  func run() async throws {
    guard let kind = Drivers.kinds.named(kind) else {
      let known = Drivers.kinds.all.map(\.name).joined(separator: ", ")
      throw CommandFailure.usage("attach: '\(kind)' is no kind of device; expected one of \(known)")
    }
    let spec: DeviceSpec
    switch kind {
    case .net: spec = .net(try NetSpec(self.spec, option: "attach net"))
    case .disk: spec = .disk(try DiskSpec.parse(self.spec, option: "attach disk"))
    default: spec = .driver(try DriverSpec(self.spec, kind: kind))
    }
    let host = try Host.connect(common)
    let store = host.store
    defer { store.close() }
    let domid = try await host.domain(named: domain)
    let chosen = try device.map { try GuestDevice.parse($0, kind: kind) }
    let attached = try await DeviceAttachment(common: common, store: store, backendType: type).attach(spec, to: domid, device: chosen)
    let address = attached.address
    let socket = spec.isForVMM ? common.runDirectory.device(address.id).vhostUserSocket : nil
    if json {
      return try printJSON(
        Result(id: address.id, domid: domid.rawValue, device: address.device.name, backend_pid: attached.backendProcess, socket: socket))
    }
    let place = socket.map { "; a VMM connects to \($0)" } ?? ""
    print("\(address.device) of domain \(domid) is \(address.id), served by process \(attached.backendProcess)\(place)")
  }
}
