import ArgumentParser
import DriverCommands
import Glibc
import LinuxSystem
import XenInterface
import XenStoreClient

/// `pvio run`: devices for one command, from nothing to nothing.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Serve disks and network interfaces, run a command with their addresses in its environment, take everything down.",
    discussion: """
      Without a command, serves until a signal comes. The command sees PVIO_RUN_DIR, PVIO_DOMID, and for disk n PVIO_DISK<n>_NBD or \
      PVIO_DISK<n>_VHOST_USER, for interface n PVIO_NET<n>_TAP or PVIO_NET<n>_VHOST_USER.

      A virtual machine gets its devices by placeholders in the command: {disk0} and {net0} stand for the arguments that QEMU or \
      cloud-hypervisor needs, {memory:SIZE} for memory that can be shared, {disk0.socket} for the socket alone:

        pvio run --disk file=disk.img --net switch=lan -- qemu-system-x86_64 {memory:1G} {disk0} {net0} ...
      """)

  @OptionGroup var common: CommonOptions
  @Option(name: .customLong("disk"), help: ArgumentHelp("A disk to serve ('help' lists the keys); may be repeated.", valueName: "spec"))
  var disks: [String] = []
  @Option(
    name: .customLong("net"),
    help: ArgumentHelp("A network interface to serve ('help' lists the keys); may be repeated.", valueName: "spec"))
  var nets: [String] = []
  @Option(help: ArgumentHelp("'embedded', or the run directory of a daemon that is running.", valueName: "embedded|dir"))
  var daemon = "embedded"
  @Option(help: ArgumentHelp("Print the arguments that give the devices to this VMM, then serve until a signal comes.", valueName: "qemu|cloud-hypervisor"))
  var printFlags: VMM?
  @Argument(parsing: .postTerminator, help: "The command to run.") var command: [String] = []

  func validate() throws {
    if printFlags != nil, !command.isEmpty { throw ValidationError("--print-flags goes without a command") }
  }

  func run() async throws {
    Process.takeSignals()
    let specs = try parseSpecs()
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
    let filled = try Placeholders(vmm: VMM(command: command), devices: session.forVMM).fill(command)
    print(session.summary)
    if let printFlags {
      let devices = session.forVMM.flatMap { printFlags.arguments(for: $0) }
      print((printFlags.memoryArguments("SIZE") + devices).joined(separator: " "))
    }
    flushOutput()
    ServiceManager.notifyReady()
    return command.isEmpty ? await session.waitForSignal() : try await session.execute(filled)
  }

  /// What is to be served. A device that the command names as a VMM's is one, unless its spec says otherwise.
  private func parseSpecs() throws -> [DeviceSpec] {
    let named = Placeholders.devices(namedIn: command)
    func specs(_ kind: String, _ parsed: [DeviceSpec]) -> [DeviceSpec] {
      parsed.enumerated().map { number, spec in
        var spec = spec
        if printFlags != nil || named.contains("\(kind)\(number)") { spec.preferVMM() }
        return spec
      }
    }
    return try specs("disk", disks.map { .disk(try DiskSpec.parse($0)) }) + specs("net", nets.map { .net(try NetSpec($0)) })
  }
}
