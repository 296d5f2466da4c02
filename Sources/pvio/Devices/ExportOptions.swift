import ArgumentParser
import DriverCommands
import LinuxSystem
import PVDriver

/// What every `pvio export` takes: where the daemon is, which domain, which device.
struct ExportOptions: ParsableArguments, Sendable {
  @OptionGroup var common: CommonOptions
  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden)) var exitWithParent = false
  @Argument(help: "The domain, by number or name.") var domain: String
  @Argument(help: "The device: its name there, its number or its id.") var device: String

  /// What the device's front-end is run with. Ends when a signal comes, unless it is told to by somebody else.
  func life(of address: DeviceAddress, until isStopped: StopRequest = .bySignal()) -> ExportLife {
    ExportLife(address: address, directory: common.runDirectory, logger: common.logger("pvio.export"), isStopped: isStopped)
  }

  /// Becomes the only front-end of the device, which is of `kind`, while `body` runs.
  func use(_ kind: DeviceKind, _ body: (DeviceAddress) async throws -> Void) async throws {
    Process.takeSignals()
    if exitWithParent { OwnedChildProcess.endWithParent(signal: .terminate) }
    let address = try await DeviceAddress.lookUp(device, kind, in: domain, common.runDirectory)
    let pidfile = try common.holdPIDFile()
    let lock = try await DeviceLock.takeFrontend(address, common.runDirectory)
    defer {
      lock.release()
      _ = pidfile
    }
    try await body(address)
  }
}
