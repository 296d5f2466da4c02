import Glibc
import LinuxSystem
import NetTap
import PVDriver
import ProcessPlatform
import SystemPackage
import XenInterface
import XenPlatform
import XenStoreClient

/// What `pvio run` has started: a daemon unless there was one, a domain, a back-end process a device (or a switch), and an export for
/// each device that is to be reached from here.
final class RunSession {
  private struct RunningDevice {
    var attached: AttachedDevice
    var export: ChildProcess?
    /// How it is reached: an NBD address, a TAP interface.
    var reach: String?
    var source: String

    var address: DeviceAddress { attached.address }
  }

  private let common: CommonOptions
  private let directory: RunDirectory
  private let services: DaemonServices?
  private let temporaryDirectory: String?
  private let platform: ProcessPlatform
  private let store: XenStoreClient
  private let domain: DomainID
  private var devices: [RunningDevice] = []

  private init(
    common: CommonOptions, directory: RunDirectory, services: DaemonServices?, temporaryDirectory: String?, platform: ProcessPlatform,
    store: XenStoreClient, domain: DomainID
  ) {
    self.common = common
    self.directory = directory
    self.services = services
    self.temporaryDirectory = temporaryDirectory
    self.platform = platform
    self.store = store
    self.domain = domain
  }

  /// Starts or finds the daemon, and makes a domain. An embedded daemon gets a run directory of its own unless one is named.
  static func open(common: CommonOptions, daemon: String) async throws -> RunSession {
    var common = common
    var temporary: String?
    if daemon != "embedded" {
      common.runDir = daemon
    } else if common.runDir == nil {
      let path = "\(RunDirectory.defaultPath)-run-\(getpid())"
      common.runDir = path
      temporary = path
    }
    let directory = common.runDirectory
    let services = daemon == "embedded" ? try await DaemonServices.start(in: directory, logger: common.logger("pvio.daemon")) : nil
    let platform = try DaemonConnection.platform(directory)
    let store = try DaemonConnection.store(directory)
    let domain = try named { () throws(PlatformError) in try platform.administrator.createDomain(name: "run-\(getpid())") }
    return RunSession(
      common: common, directory: directory, services: services, temporaryDirectory: temporary, platform: platform, store: store, domain: domain)
  }

  /// Starts a device's back-end, and what makes it reachable from here.
  func add(_ spec: DeviceSpec) async throws {
    var spec = spec
    spec.id = spec.id ?? "\(spec.kind.name)\(devices.count { $0.address.device.kind == spec.kind })"
    let attachment = DeviceAttachment(common: common, store: store, endsWithUs: true)
    devices.append(RunningDevice(attached: try await attachment.attach(spec, to: domain, device: nil), source: spec.source))
    let position = devices.count - 1
    let address = devices[position].address
    let files = directory.device(address.id)
    switch spec {
    case .disk(let disk) where disk.export == .nbd:
      devices[position].export = try await startExport(of: address, ["nbd"], files)
      devices[position].reach = "nbd+unix:///?socket=\(files.nbdSocket)"
    case .net(let net):
      guard case .tap(let name, let namespace) = net.export else { return }
      let place = namespace.map { ["--netns", $0] } ?? []
      devices[position].export = try await startExport(
        of: address, ["tap", "--name", name.description, "--queues", "\(net.queueCount)"] + place, files)
      devices[position].reach = name.description
    case .disk: return
    }
  }

  /// Starts a device's front-end and waits until it says that it is ready.
  private func startExport(of address: DeviceAddress, _ arguments: [String], _ files: DeviceFiles) async throws -> ChildProcess {
    let export: ChildProcess
    do throws(Errno) {
      let log = try OwnedDescriptor.open(files.frontendLog, flags: O_WRONLY | O_CREAT | O_APPEND)
      var options = ChildProcess.Options()
      options.standardOutput = log.rawValue
      options.standardError = log.rawValue
      options.newSession = true
      export = try ChildProcess.spawn(
        ChildProcess.ownExecutable,
        ["export"] + arguments.prefix(1) + common.forwarded + arguments.dropFirst()
          + ["--exit-with-parent", "\(address.domain)", address.device.name], options)
    } catch {
      throw CommandFailure("cannot start the export of \(address.device): \(error)")
    }
    for _ in 0..<3000 {
      if let log = try? TextFile.read(files.frontendLog), log.contains("pvio export ready") { return export }
      if let ending = export.poll() {
        throw CommandFailure(files.lastLogLine(of: files.frontendLog) ?? "the export of \(address.device) ended with \(ending)")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw CommandFailure("the export of \(address.device) is not ready after 30 s; see \(files.frontendLog)")
  }

  /// How the devices are reached.
  var summary: String {
    var table = TextTable(header: ["ID", "DEVICE", "BACK PID", "FRONT PID", "SOURCE", "REACHED AS"])
    table.rows = devices.map {
      [
        $0.address.id, $0.address.device.name, "\($0.attached.backendProcess)", $0.export.map { "\($0.processID)" } ?? "-", $0.source,
        $0.reach ?? "-",
      ]
    }
    return table.text
  }

  private var environment: [String: String] {
    var result = ["PVIO_RUN_DIR": directory.path, "PVIO_DOMID": "\(domain)"]
    for (number, disk) in devices.filter({ $0.address.device.kind == .disk }).enumerated() where disk.reach != nil {
      result["PVIO_DISK\(number)_NBD"] = disk.reach
      result["PVIO_DISK\(number)_SOCKET"] = directory.device(disk.address.id).nbdSocket
    }
    for (number, interface) in devices.filter({ $0.address.device.kind == .net }).enumerated() {
      result["PVIO_NET\(number)_TAP"] = interface.reach
    }
    return result
  }

  /// Runs the command and returns its exit code; signals that come to us are passed on to it.
  func execute(_ command: [String]) async throws -> Int32 {
    var options = ChildProcess.Options()
    options.environment = environment
    let child: ChildProcess
    do { child = try ChildProcess.spawn(command[0], Array(command.dropFirst()), options) } catch {
      throw CommandFailure("cannot run \(command[0]): \(error)")
    }
    let forwarding = Task {
      while !Task.isCancelled { child.send(signal: await Process.nextSignal()) }
    }
    defer { forwarding.cancel() }
    while true {
      if let ending = child.poll() {
        switch ending {
        case .exited(let code): return code
        case .signalled(let signal): return 128 + signal
        }
      }
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  func waitForSignal() async -> Int32 {
    _ = await Process.nextSignal()
    return 0
  }

  /// Takes everything down: exports first, so that the disks are closed from the front.
  func close() async {
    for device in devices.reversed() {
      device.export?.send(signal: SIGTERM)
      device.export?.wait()
      do {
        _ = try await DeviceDetachment(directory: directory, store: store).detach(device.address, patience: .seconds(10))
      } catch {
        Process.writeError("pvio: \(device.address.device): \(error)\n")
        device.attached.backend?.send(signal: SIGTERM)
      }
    }
    // A switch does not end with one of its interfaces; the others have ended by themselves.
    for device in devices {
      device.attached.backend?.send(signal: SIGTERM)
      device.attached.backend?.wait()
      if device.attached.backend != nil, device.address.device.kind == .net { directory.virtualSwitch(device.source).remove() }
    }
    devices = []
    do { try platform.administrator.destroyDomain(domain) } catch { Process.writeError("pvio: \(error)\n") }
    store.close()
    platform.disconnect()
    await services?.stop()
    guard let temporaryDirectory else { return }
    // SAFETY: the path is a terminated string for the length of the call.
    for part in ["/devices", "/domains", "/switches", "/xenstored", ""] { unsafe rmdir(temporaryDirectory + part) }
  }
}
