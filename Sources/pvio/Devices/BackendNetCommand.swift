import ArgumentParser
import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio backend net`: serves a network interface to one domain until it is detached or a signal comes.
struct BackendNetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "net", abstract: "Connect a domain's network interface to a TAP interface or a switch.")

  @OptionGroup var place: BackendOptions

  @Option(help: ArgumentHelp("What to connect it to ('help' lists the keys).", valueName: "spec"))
  var net: String?

  @Option(
    name: .customLong("switch"),
    help: ArgumentHelp("Instead of one interface: serve the switch of this name, with every interface that is attached to it.", valueName: "name"))
  var switchName: String?

  @Option(help: ArgumentHelp("What the switch is connected to besides: tap=NAME or packet=NAME, and what goes with it.", valueName: "spec"))
  var uplink: String?

  @Flag(
    help: ArgumentHelp("The switch knows the addresses of its interfaces (mac) and no others: what is for nobody of them goes to the uplink alone."))
  var noLearning = false

  @Option(help: ArgumentHelp("On a Xen host: what the back-ends' directories are called (default: pvio-vif; vif is what xl makes).", valueName: "type"))
  var type: String?

  @Flag(help: "On a Xen host: serve every device whose back-end directory is of --type, instead of one.")
  var all = false

  @Option(help: ArgumentHelp("Where a VMM connects (vhost-user), instead of a domain.", valueName: "path"))
  var socketPath: String?

  @Option(help: ArgumentHelp("A descriptor of this process that a VMM is connected to (vhost-user).", valueName: "n"))
  var fd: Int32?

  @Flag(help: "Print what this back-end can do, as JSON, and end.")
  var printCapabilities = false

  @Flag(help: ArgumentHelp("End a switch that has had no interface for a while.", visibility: .hidden))
  var endWhenIdle = false

  func validate() throws {
    if printCapabilities { return }
    if all {
      guard place.common.platform == .xen, net == nil, place.domain == nil else { throw ValidationError("--all goes with --platform xen, and without --net and --domain") }
      return
    }
    guard (net == nil) != (switchName == nil) else { throw ValidationError("expected either --net with --domain, or --switch") }
    let users = [place.domain != nil, socketPath != nil, fd != nil].count { $0 }
    if net != nil, users != 1 { throw ValidationError("--net needs the --domain to serve, or for a VMM --socket-path or --fd") }
    if uplink != nil, switchName == nil { throw ValidationError("--uplink goes with --switch") }
    if noLearning, switchName == nil { throw ValidationError("--no-learning goes with --switch") }
  }

  func run() async throws {
    if printCapabilities { return try printJSON(BackendCapabilities.net) }
    if all { return try await BackendFleet.run(.net, type: type, place.common) }
    if let switchName { return try await runSwitch(switchName) }
    guard let net else { return }
    let spec = try NetSpec(net)
    if let socket = socketPath.map({ VMMSocket.path($0) }) ?? fd.map({ VMMSocket.connected(SharedDescriptor(owning: $0)) }) {
      return try await StandaloneVhostUser(devices: [(.net(spec), socket)], logger: place.common.logger("pvio.backend"), processor: place.processor).run()
    }
    try await place.serve(DeviceSpec.net(spec), type: type) { address, platform, store, logger in
      if spec.export == .vhostUser { return try await serveVMM(address, spec, store, logger) }
      return try await NetService(address: address, spec: spec, directory: place.common.runDirectory, logger: logger, processor: place.processor)
        .run(platform: platform, store: store, isStopped: .bySignal())
    }
  }

  private func serveVMM(_ address: DeviceAddress, _ spec: NetSpec, _ store: XenStoreClient, _ logger: Logger) async throws -> BackendSupervisor.Report {
    let thread = try EventLoopThread.started("net", processor: place.processor)
    defer { thread.stopAndJoin() }
    return try await VhostUserNetService(address: address, settings: spec.virtioSettings, directory: place.common.runDirectory, logger: logger)
      .run(store: store, loop: thread.loop, isStopped: .bySignal()) { loop in try spec.makePort(on: loop) }
  }

  private func runSwitch(_ text: String) async throws {
    let name = try SwitchProcess.checked(text)
    let uplink = try uplink.map { try NetSpec($0, option: NetSpec.uplinkOption) }
    let common = place.common
    Process.takeSignals()
    if place.exitWithParent { OwnedChildProcess.endWithParent(signal: .terminate) }
    let directory = common.runDirectory
    let lock = try SwitchProcess(name: name, directory: directory).hold()
    let host = try Host.connect(common)
    let store = host.store
    let pidfile = try common.holdPIDFile()
    let service: SwitchService
    do {
      service = try await SwitchService.start(
        name: name, learns: !noLearning, uplink: uplink, directory: directory, logger: common.logger("pvio.switch"), platform: host.platform, store: store,
        processor: place.processor)
    } catch {
      throw CommandFailure("\(error)")
    }
    ServiceManager.sayReady("pvio switch ready: \(name)")
    try await service.run(endsWhenIdle: endWhenIdle)
    store.close()
    _ = consume lock
    _ = consume pidfile
  }
}
