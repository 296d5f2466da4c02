public import ArgumentParser
import EventLoop
import LinuxSystem
import Logging
public import PVDriver
import XenPlatform
import XenStoreClient
import Xenbus

/// `pvio backend NAME` for any driver with a request/response ring: serves a device until it is detached or a signal comes.
public struct RequestRingBackendCommand<Engine: RequestRingEngine>: AsyncParsableCommand {
  public static var configuration: CommandConfiguration {
    CommandConfiguration(commandName: Engine.Interface.kind.backendCommand, abstract: "Serve a device of kind \(Engine.Interface.kind.name) to a domain.")
  }

  @OptionGroup var common: CommonOptions
  @Option(help: "What to serve, as KEY=VALUE[,KEY=VALUE]...; id=NAME is the device's name under the run directory.") var spec = ""
  @Option(help: "The domain to serve, by number or name.") var domain: String?
  @Option(help: "The device there (default: the first that is free).") var device: String?
  @Flag(help: "Print what this back-end can do, as JSON, and end.") var printCapabilities = false
  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden)) var exitWithParent = false
  @Option(help: ArgumentHelp("The processor (0-based) that serves the device.", visibility: .hidden)) var processor: Int?

  public init() {}

  public func validate() throws {
    if domain == nil, !printCapabilities { throw ValidationError("expected the --domain to serve") }
  }

  private struct Capabilities: Encodable {
    var type: String
    var versions: [UInt32]
    var entry_bytes: Int
    var data_bytes: Int
    var features: [String: String]
    var options: [String]
  }

  public func run() async throws {
    typealias Interface = Engine.Interface
    if printCapabilities {
      return try printJSON(
        Capabilities(
          type: Interface.kind.name, versions: [Interface.versions.lowerBound, Interface.versions.upperBound],
          entry_bytes: Interface.entryByteCount, data_bytes: Interface.maximumDataByteCount, features: Interface.Features().offerKeys,
          options: Engine.optionKeys.sorted()))
    }
    let spec = try DriverSpec(self.spec, kind: Interface.kind)
    try spec.expectKeys(Engine.optionKeys)
    let process = BackendProcess(common: common, spec: spec, domain: domain ?? "", device: device, exitsWithParent: exitWithParent)
    try await process.run { address, platform, store, logger in
      try await serve(address, spec.options, platform, store, logger)
    }
  }

  private func serve(
    _ address: DeviceAddress, _ options: [String: String], _ platform: any XenPlatform, _ store: XenStoreClient, _ logger: Logger
  ) async throws -> BackendSupervisor.Report {
    let thread = try EventLoopThread.started(Engine.Interface.kind.name, processor: processor)
    defer { thread.stopAndJoin() }
    let notices = XenbusNotices()
    let driver: RequestRingBackendDriver<Engine>
    do {
      let trace = common.runDirectory.device(address.id).makeTrace(operations: [Engine.Interface.kind.name], logger: logger)
      driver = try await .open(options: options, loop: thread.loop, platform: platform, notices: notices, trace: trace, logger: logger)
    } catch {
      throw CommandFailure("\(error)")
    }
    return await DriverService(address: address, directory: common.runDirectory, logger: logger).run(driver, notices: notices, store: store) {
      let (isConnected, counters) = await driver.status()
      return DriverStatus(isConnected, counters)
    }
  }
}

extension DriverStatus {
  init(_ isConnected: Bool, _ counters: RequestRingCounters) {
    self.init()
    connected = isConnected
    requests = counters.requests
    bytes = counters.bytes
    failures = counters.failures
    rejections = counters.rejections
    in_flight = counters.inFlight
    events = counters.events.events
    spurious_events = counters.events.spuriousEvents
    signals = counters.events.signals
    mapped_pages = counters.mappedPageCount
    fault = counters.fault.map { "\($0)" }
  }
}

extension DriverRegistration {
  /// A driver with a request/response ring: its engine is all that the command has to know.
  public init<Engine: RequestRingEngine>(engine: Engine.Type, commands: [any AsyncParsableCommand.Type] = []) {
    self.init(Engine.Interface.kind, backend: RequestRingBackendCommand<Engine>.self, commands: commands)
  }
}
