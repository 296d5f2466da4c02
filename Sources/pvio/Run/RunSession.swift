import DriverCommands
import Glibc
import LinuxSystem
import NetTap
import PVDriver
import ProcessPlatform
import SystemPackage
import XenInterface
import XenPlatform
import XenStoreClient
import Xenbus

/// What `pvio run` has started: a daemon unless there was one, a domain, a back-end process a device (or a switch), and an export for
/// each device that is to be reached from here.
final class RunSession {
  private let common: CommonOptions
  private let directory: RunDirectory
  private let services: DaemonServices?
  private let temporaryDirectory: String?
  private let platform: ProcessPlatform
  private let store: XenStoreClient
  private let domain: DomainID
  private var devices: [RunningDevice] = []
  /// Told when a process has ended, or when the end is asked for: something is to be looked at.
  private let wakeUps: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation

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
    (wakeUps, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
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
    spec.id = spec.id ?? "\(spec.kind.name)\(devices.count { $0.kind == spec.kind })"
    devices.append(RunningDevice(attached: try await attachment.attach(spec, to: domain, device: nil), spec: spec))
    let position = devices.count - 1
    let address = devices[position].address
    let files = directory.device(address.id)
    if spec.isForVMM {
      if let backend = devices[position].attached.backend { try watch(backend) }
      devices[position].reach = .vhostUser(socketPath: files.vhostUserSocket)
      devices[position].mac = try await store.readIfPresent("\(address.paths.backend)/mac")
      return
    }
    switch spec {
    case .disk(let disk) where (disk.export ?? .nbd) == .nbd:
      devices[position].export = try await startExport(of: address, ["nbd"], files)
      devices[position].reach = .nbd(socketPath: files.nbdSocket)
    case .net(let net):
      guard case .tap(let name, let namespace) = net.export else { return }
      let place = namespace.map { ["--netns", $0] } ?? []
      devices[position].export = try await startExport(
        of: address, ["tap", "--name", name.description, "--queues", "\(net.queueCount)"] + place, files)
      devices[position].reach = .tap(name: name.description)
    case .disk, .driver: return
    }
  }

  private var attachment: DeviceAttachment { DeviceAttachment(common: common, store: store, endsWithUs: true) }

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
        $0.address.id, $0.address.device.name, "\($0.attached.backendProcess)", $0.export.map { "\($0.processID)" } ?? "-", $0.spec.source,
        $0.reachText,
      ]
    }
    return table.text
  }

  private var environment: [String: String] {
    var result = ["PVIO_RUN_DIR": directory.path, "PVIO_DOMID": "\(domain)"]
    for kind in DeviceAddress.kinds.all {
      for (number, device) in devices.filter({ $0.kind == kind }).enumerated() {
        result.merge(device.environment(number: number)) { old, _ in old }
      }
    }
    return result
  }

  /// The devices that a VMM can be given, as it has to know them: `disk0`, `net0`.
  var forVMM: [VMM.Device] {
    DeviceAddress.kinds.all.flatMap { kind in
      devices.filter { $0.kind == kind }.enumerated().compactMap { number, device in
        guard case .vhostUser(let path) = device.reach else { return nil }
        return VMM.Device(
          name: "\(kind.name)\(number)", isDisk: kind == .disk, socketPath: path, queueCount: device.spec.queueCount, mac: device.mac)
      }
    }
  }

  /// Starts the back-ends again that have ended while they should not. A VMM comes back to the socket by itself.
  private func reviveBackends() async {
    for position in devices.indices where devices[position].spec.isForVMM {
      guard let ending = devices[position].attached.backend?.poll() else { continue }
      devices[position].attached.backend = nil
      await restart(position, after: ending)
    }
  }

  private func restart(_ position: Int, after ending: ChildProcess.Ending) async {
    let device = devices[position]
    do {
      let backend = try await attachment.restart(device.spec, at: device.address)
      devices[position].attached.backend = backend
      devices[position].attached.backendProcess = backend.processID
      try watch(backend)
      Process.writeError(
        "pvio: the back-end of \(device.address.id) (process \(device.attached.backendProcess)) ended with \(ending); "
          + "started again as process \(backend.processID)\n")
    } catch {
      Process.writeError("pvio: the back-end of \(device.address.id) ended with \(ending), and cannot be started again: \(error)\n")
    }
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
    try watch(child)
    for await _ in wakeUps {
      switch child.poll() {
      case .exited(let code)?: return code
      case .signalled(let signal)?: return 128 + signal
      case nil: await reviveBackends()
      }
    }
    return 0
  }

  func waitForSignal() async -> Int32 {
    let isStopped = StopRequest.bySignal()
    Task { [wake] in
      await isStopped.wait()
      wake.yield()
    }
    for await _ in wakeUps {
      if isStopped.isRaised { break }
      await reviveBackends()
    }
    return 0
  }

  /// Has us look again when a process has ended.
  private func watch(_ process: ChildProcess) throws {
    do {
      try SystemThread.start(name: "child") { [wake] in
        process.waitUntilEnded()
        wake.yield()
      }
    } catch {
      throw CommandFailure("cannot start a thread: \(error)")
    }
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
      if device.attached.backend != nil, device.kind == .net { directory.virtualSwitch(device.spec.source).remove() }
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
