import ArgumentParser
import Glibc
import LinuxSystem
import XenInterface
import XenStoreClient

/// `pvio run`: devices for one command, from nothing to nothing.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Serve disks and network interfaces, run a command with their addresses in its environment, take everything down.",
    discussion: "Without a command, serves until a signal comes. The command sees PVIO_RUN_DIR, PVIO_DOMID, PVIO_DISK<n>_NBD for disk n, and PVIO_NET<n>_TAP for interface n.")

  @OptionGroup var common: CommonOptions
  @Option(name: .customLong("disk"), help: ArgumentHelp("A disk to serve ('help' lists the keys); may be repeated.", valueName: "spec"))
  var disks: [String] = []
  @Option(
    name: .customLong("net"),
    help: ArgumentHelp("A network interface to serve ('help' lists the keys); may be repeated.", valueName: "spec"))
  var nets: [String] = []
  @Option(help: ArgumentHelp("'embedded', or the run directory of a daemon that is running.", valueName: "embedded|dir"))
  var daemon = "embedded"
  @Argument(parsing: .postTerminator, help: "The command to run.") var command: [String] = []

  func run() async throws {
    Process.takeSignals()
    let specs = try disks.map { DeviceSpec.disk(try DiskSpec.parse($0)) } + nets.map { DeviceSpec.net(try NetSpec($0)) }
    guard !specs.isEmpty else {
      throw CommandFailure.usage("run: give it at least one --disk or --net (for example --disk file=disk.img)")
    }
    let pidfile = try common.holdPIDFile()
    let session = try await RunSession.open(common: common, daemon: daemon)
    let code: Int32
    do {
      code = try await serve(specs, in: session)
    } catch {
      await session.close()
      throw error
    }
    await session.close()
    _ = consume pidfile
    if code != 0 { throw ExitCode(code) }
  }

  /// Serves the devices until the command ends or a signal comes; returns the exit code.
  private func serve(_ specs: [DeviceSpec], in session: RunSession) async throws -> Int32 {
    for spec in specs { try await session.add(spec) }
    print(session.summary)
    flushOutput()
    ServiceManager.notifyReady()
    return command.isEmpty ? await session.waitForSignal() : try await session.execute(command)
  }
}
