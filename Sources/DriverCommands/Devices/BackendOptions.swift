public import ArgumentParser
public import Logging
public import PVDriver
public import XenPlatform
public import XenStoreClient

/// What every command takes that serves a device: where the daemon is, which domain, which device.
///
/// ```swift
/// @OptionGroup var place: BackendOptions
/// func run() async throws { try await place.serve(spec) { address, platform, store, logger in … } }
/// ```
public struct BackendOptions: ParsableArguments, Sendable {
  @OptionGroup public var common: CommonOptions
  @Option(help: "The domain to serve, by number or name.") public var domain: String?
  @Option(help: "The device there, by name or number (default: the first that is free).") public var device: String?
  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden)) public var exitWithParent = false
  @Option(help: ArgumentHelp("The processor (0-based) that serves the device.", visibility: .hidden)) public var processor: Int?

  public init() {}

  /// The same for another command.
  public var forwarded: [String] {
    let values = [("--pidfile", common.pidfile), ("--domain", domain), ("--device", device), ("--processor", processor.map { "\($0)" })]
    return common.forwarded + values.flatMap { name, value in value.map { [name, $0] } ?? [] } + (exitWithParent ? ["--exit-with-parent"] : [])
  }

  /// Serves one device until it is detached, a signal comes or it cannot go on; see ``BackendProcess``. Throws ``CommandFailure``.
  /// - Parameter type: what the back-end's directory is called; nil: as the platform has it.
  public func serve(
    _ spec: any AttachableSpec, type: String? = nil,
    _ serve: (DeviceAddress, any XenPlatform, XenStoreClient, Logger) async throws -> BackendSupervisor.Report
  ) async throws {
    guard let domain else { throw CommandFailure.usage("expected the --domain to serve") }
    let process = BackendProcess(common: common, spec: spec, domain: domain, device: device, type: type, exitsWithParent: exitWithParent)
    try await process.run(serve)
  }
}
