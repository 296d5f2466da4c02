import ArgumentParser
import LinuxSystem
import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio backend net`: serves a network interface to one domain until it is detached or a signal comes.
struct BackendNetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "net", abstract: "Connect a domain's network interface to a TAP interface or a switch.")

  @OptionGroup var common: CommonOptions

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

  @Option(help: "The domain to serve, by number or name.")
  var domain: String?

  @Option(help: "The interface there, such as vif0 (default: the first that is free).")
  var device: String?

  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden))
  var exitWithParent = false

  @Flag(help: ArgumentHelp("End a switch that has had no interface for a while.", visibility: .hidden))
  var endWhenIdle = false

  @Option(help: ArgumentHelp("The processor (0-based) that serves the interface.", visibility: .hidden))
  var processor: Int?

  func validate() throws {
    guard (net == nil) != (switchName == nil) else { throw ValidationError("expected either --net with --domain, or --switch") }
    if net != nil, domain == nil { throw ValidationError("--net needs the --domain to serve") }
    if uplink != nil, switchName == nil { throw ValidationError("--uplink goes with --switch") }
    if noLearning, switchName == nil { throw ValidationError("--no-learning goes with --switch") }
  }

  func run() async throws {
    if let switchName { return try await runSwitch(switchName) }
    guard let net, let domain else { return }
    let spec = try NetSpec(net)
    try await BackendProcess(
      common: common, spec: .net(spec), domain: domain, device: device, exitsWithParent: exitWithParent, loggerLabel: "pvio.backend"
    ).run { address, platform, store, logger in
      try await NetService(address: address, spec: spec, directory: common.runDirectory, logger: logger, processor: processor)
        .run(platform: platform, store: store)
    }
  }

  private func runSwitch(_ text: String) async throws {
    let name = try SwitchProcess.checked(text)
    let uplink = try uplink.map { try NetSpec($0, option: NetSpec.uplinkOption) }
    Process.takeSignals()
    if exitWithParent { OwnedChildProcess.endWithParent(signal: .terminate) }
    let directory = common.runDirectory
    let lock = try SwitchProcess(name: name, directory: directory).hold()
    let platform = try DaemonConnection.platform(directory)
    let store = try DaemonConnection.store(directory)
    let pidfile = try common.holdPIDFile()
    let service: SwitchService
    do {
      service = try await SwitchService.start(
        name: name, learns: !noLearning, uplink: uplink, directory: directory, logger: common.logger("pvio.switch"), platform: platform, store: store,
        processor: processor)
    } catch {
      throw CommandFailure("\(error)")
    }
    print("pvio switch ready: \(name)")
    flushOutput()
    ServiceManager.notifyReady()
    try await service.run(endsWhenIdle: endWhenIdle)
    store.close()
    _ = consume lock
    _ = consume pidfile
  }
}
