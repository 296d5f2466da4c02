public import ArgumentParser
import EventLoop
import LinuxSystem
import Logging
public import PVDriver
import XenPlatform
import XenStoreClient
import Xenbus

/// `pvio backend NAME` for any driver whose engine its author wrote: serves a device until it is detached or a signal comes.
public struct DriverBackendCommand<Driver: ServedDriver>: AsyncParsableCommand {
  public static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: Driver.kind.backendCommand, abstract: "Serve a device of kind \(Driver.kind.name) to a domain.",
      discussion: keys.isEmpty ? "" : "Keys of --spec: \(keys.joined(separator: ", ")).")
  }

  private static var keys: [String] {
    let own = Driver.capabilities
    return own.optionKeys.sorted() + (own.takesRequests ? DriverSpec.rateKeys : [])
  }

  @OptionGroup var place: BackendOptions
  @Option(help: "What to serve, as KEY=VALUE[,KEY=VALUE]...; id=NAME is the device's name under the run directory.") var spec = ""
  @Flag(help: "Print what this back-end can do, as JSON, and end.") var printCapabilities = false

  public init() {}

  public func validate() throws {
    if place.domain == nil, !printCapabilities { throw ValidationError("expected the --domain to serve") }
  }

  private struct Capabilities: Encodable {
    var type: String
    var transport: String
    var versions: [UInt32]
    var entry_bytes: Int
    var data_bytes: Int
    var features: [String: String]
    var options: [String]
    var trace_fields: [String]
  }

  public func run() async throws {
    let own = Driver.capabilities
    if printCapabilities {
      return try printJSON(
        Capabilities(
          type: own.kind.name, transport: own.transport, versions: own.versions.map { [$0.lowerBound, $0.upperBound] } ?? [],
          entry_bytes: own.entryByteCount, data_bytes: own.dataByteCount, features: own.features, options: Self.keys,
          trace_fields: own.traceFields.map(\.name)))
    }
    let spec = try DriverSpec(self.spec, kind: own.kind)
    try spec.expectKeys(Self.keys)
    let rate = try spec.rate()
    try await place.serve(spec) { address, platform, store, logger in
      let thread = try EventLoopThread.started(own.kind.name, processor: place.processor)
      defer { thread.stopAndJoin() }
      var setup = BackendSetup(loop: thread.loop, platform: platform, notices: XenbusNotices())
      setup.options = own.takesRequests ? spec.options.filter { !DriverSpec.rateKeys.contains($0.key) } : spec.options
      setup.rate = rate
      setup.logger = logger
      if own.takesRequests {
        setup.trace = place.common.runDirectory.device(address.id).makeTrace(operations: [own.kind.name], fields: own.traceFields, logger: logger)
      }
      let driver: Driver
      do { driver = try await .open(setup) } catch { throw CommandFailure("\(own.kind.name) \(self.spec): \(error)") }
      let report = await DriverService(address: address, directory: place.common.runDirectory, logger: logger)
        .run(driver, notices: setup.notices, store: store) { DriverStatus(await driver.report()) }
      await driver.close()
      return report
    }
  }
}

extension DriverStatus {
  init(_ report: DriverReport) {
    self.init()
    connected = report.isConnected
    requests = report.requests
    bytes = report.bytes
    failures = report.failures
    rejections = report.rejections
    in_flight = report.inFlight
    events = report.events
    spurious_events = report.spuriousEvents
    signals = report.signals
    mapped_pages = report.mappedPageCount
    fault = report.fault
    counters = report.counters
  }
}

extension DriverRegistration {
  /// A driver with a request/response ring: its engine is all that the command has to know.
  public init<Engine: RequestRingEngine>(engine: Engine.Type, commands: [any AsyncParsableCommand.Type] = []) {
    self.init(served: RequestRingBackendDriver<Engine>.self, commands: commands)
  }

  /// A driver with a page of events.
  public init<Engine: EventRingEngine>(engine: Engine.Type, commands: [any AsyncParsableCommand.Type] = []) {
    self.init(served: EventPageBackendDriver<Engine>.self, commands: commands)
  }

  /// A driver with a stream of bytes.
  public init<Engine: ByteStreamEngine>(engine: Engine.Type, commands: [any AsyncParsableCommand.Type] = []) {
    self.init(served: ByteStreamEngineDriver<Engine>.self, commands: commands)
  }

  private init<Driver: ServedDriver>(served: Driver.Type, commands: [any AsyncParsableCommand.Type]) {
    self.init(Driver.kind, backend: DriverBackendCommand<Driver>.self, commands: commands)
  }
}
