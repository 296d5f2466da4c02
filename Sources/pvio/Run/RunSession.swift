import Glibc
import LinuxSystem
import ProcessPlatform
import SystemPackage
import XenInterface
import XenPlatform
import XenStoreClient

/// What `pvio run` has started: a daemon unless there was one, a domain, a back-end process a disk, and an NBD export a disk.
final class RunSession {
  private struct Disk {
    var address: DeviceAddress
    var backend: ChildProcess
    var export: ChildProcess?
    var nbdSocket: String?
    var source: String
  }

  private let common: CommonOptions
  private let directory: RunDirectory
  private let services: DaemonServices?
  private let temporaryDirectory: String?
  private let platform: ProcessPlatform
  private let store: XenStoreClient
  private let domain: DomainID
  private var disks: [Disk] = []

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

  func add(_ spec: DiskSpec) async throws {
    var spec = spec
    spec.id = spec.id ?? "disk\(disks.count)"
    let attached = try await DeviceAttachment(common: common, store: store, endsWithUs: true).attach(.disk(spec), to: domain, device: nil)
    var disk = Disk(address: attached.address, backend: attached.backend, source: spec.parameters)
    disks.append(disk)
    guard spec.export == .nbd else { return }
    let files = directory.device(attached.address.id)
    disk.export = try await startExport(of: attached.address, files)
    disk.nbdSocket = files.nbdSocket
    disks[disks.count - 1] = disk
  }

  /// Starts the disk's front-end and waits until it listens.
  private func startExport(of address: DeviceAddress, _ files: DeviceFiles) async throws -> ChildProcess {
    let export: ChildProcess
    do throws(Errno) {
      let log = try OwnedDescriptor.open(files.frontendLog, flags: O_WRONLY | O_CREAT | O_APPEND)
      var options = ChildProcess.Options()
      options.standardOutput = log.rawValue
      options.standardError = log.rawValue
      options.newSession = true
      export = try ChildProcess.spawn(
        ChildProcess.ownExecutable,
        ["export", "nbd"] + common.forwarded + ["--exit-with-parent", "\(address.domain)", address.device.name], options)
    } catch {
      throw CommandFailure("cannot start the export of \(address.device): \(error)")
    }
    for _ in 0..<3000 {
      // SAFETY: the path is a terminated string for the length of the call, as in the removal below.
      if unsafe access(files.nbdSocket, F_OK) == 0 { return export }
      if let ending = export.poll() {
        throw CommandFailure(files.lastLogLine(of: files.frontendLog) ?? "the export of \(address.device) ended with \(ending)")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw CommandFailure("the export of \(address.device) is not ready after 30 s; see \(files.frontendLog)")
  }

  /// How the disks are reached.
  var summary: String {
    var table = TextTable(header: ["DISK", "DEVICE", "BACK PID", "FRONT PID", "SOURCE", "NBD"])
    table.rows = disks.map {
      [
        $0.address.id, $0.address.device.name, "\($0.backend.processID)", $0.export.map { "\($0.processID)" } ?? "-", $0.source,
        $0.nbdSocket.map { "nbd+unix:///?socket=\($0)" } ?? "-",
      ]
    }
    return table.text
  }

  private var environment: [String: String] {
    var result = ["PVIO_RUN_DIR": directory.path, "PVIO_DOMID": "\(domain)"]
    for (number, disk) in disks.enumerated() {
      result["PVIO_DISK\(number)_NBD"] = disk.nbdSocket.map { "nbd+unix:///?socket=\($0)" }
      result["PVIO_DISK\(number)_SOCKET"] = disk.nbdSocket
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
    for disk in disks.reversed() {
      disk.export?.send(signal: SIGTERM)
      disk.export?.wait()
      do {
        _ = try await DeviceDetachment(directory: directory, store: store).detach(disk.address, patience: .seconds(10))
      } catch {
        Process.writeError("pvio: \(disk.address.device): \(error)\n")
        disk.backend.send(signal: SIGTERM)
      }
      disk.backend.wait()
    }
    disks = []
    do { try platform.administrator.destroyDomain(domain) } catch { Process.writeError("pvio: \(error)\n") }
    store.close()
    platform.disconnect()
    await services?.stop()
    guard let temporaryDirectory else { return }
    for part in ["/devices", "/domains", "/xenstored", ""] { unsafe rmdir(temporaryDirectory + part) }
  }
}
