public import ArgumentParser
public import DriverCommands
import EventLoop
import Logging
import PVDriver
import XenPlatform
import XenStoreClient
import Xenbus

/// `pvio backend vkbd`: serves a keyboard and pointer until it is detached or a signal comes.
public struct KeyboardBackendCommand: AsyncParsableCommand {
  public static let configuration = CommandConfiguration(
    commandName: KeyboardDevice.kind.backendCommand, abstract: "Serve a keyboard and pointer to a domain.",
    discussion: "--spec events=PATH (lines such as 'key 30 1') or evdev=PATH (/dev/input/eventN); width=, height= for positions.")

  @OptionGroup var common: CommonOptions
  @Option(help: "Where the events come from, as KEY=VALUE[,KEY=VALUE]...") var spec = ""
  @Option(help: "The domain to serve, by number or name.") var domain: String
  @Option(help: "The device there (default: the first that is free).") var device: String?
  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden)) var exitWithParent = false

  public init() {}

  public func run() async throws {
    let spec = try DriverSpec(self.spec, kind: KeyboardDevice.kind)
    try spec.expectKeys(["events", "evdev", "width", "height"])
    let source: KeyboardSource
    switch (spec["events"], spec["evdev"]) {
    case (let path?, nil): source = .text(path: path)
    case (nil, let path?): source = .evdev(path: path)
    default: throw CommandFailure.usage("vkbd \(self.spec): expected one of events=PATH and evdev=PATH")
    }
    let device = KeyboardDevice(area: try area(spec))
    let process = BackendProcess(common: common, spec: spec, domain: domain, device: self.device, exitsWithParent: exitWithParent)
    try await process.run { address, platform, store, logger in
      try await serve(device, source, address, platform, store, logger)
    }
  }

  private func area(_ spec: DriverSpec) throws -> (width: UInt32, height: UInt32)? {
    guard spec["width"] != nil || spec["height"] != nil else { return nil }
    func number(_ key: String) throws -> UInt32 {
      guard let value = spec[key].flatMap({ UInt32($0) }), (1...32767).contains(value) else {
        throw CommandFailure.usage("vkbd \(self.spec): expected \(key)=1 to 32767")
      }
      return value
    }
    return (try number("width"), try number("height"))
  }

  private func serve(
    _ device: KeyboardDevice, _ source: KeyboardSource, _ address: DeviceAddress, _ platform: any XenPlatform, _ store: XenStoreClient,
    _ logger: Logger
  ) async throws -> BackendSupervisor.Report {
    let thread = try EventLoopThread.started("vkbd")
    defer { thread.stopAndJoin() }
    let notices = XenbusNotices()
    let driver = await EventPageBackendDriver(device, loop: thread.loop, platform: platform, notices: notices, logger: logger)
    source.start(event: { driver.send($0) }) { failure in
      if let failure { logger.error("no more events: \(failure)") } else { logger.notice("no more events: the source has ended") }
    }
    return await DriverService(address: address, directory: common.runDirectory, logger: logger).run(driver, notices: notices, store: store) {
      let (isConnected, counters) = await driver.status()
      var status = DriverStatus()
      status.connected = isConnected
      status.requests = counters.sent
      status.failures = counters.dropped
      status.events = counters.events
      status.spurious_events = counters.spuriousEvents
      status.signals = counters.signals
      status.mapped_pages = isConnected ? 1 : 0
      return status
    }
  }
}

extension DriverRegistration {
  /// Keyboards and pointers.
  public static let keyboard = DriverRegistration(KeyboardDevice.kind, backend: KeyboardBackendCommand.self, commands: [KeyboardCommand.self])
}
