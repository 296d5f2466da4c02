import DriverCommands
import Glibc
import LinuxSystem
import PVDriver
import SystemPackage
import XenInterface
import XenStoreClient
import Xenbus

/// A device and the process that serves it.
struct AttachedDevice {
  var address: DeviceAddress
  /// The process that serves it: its own, or its switch's.
  var backendProcess: Int32
  /// The same, if it was started for this device.
  var backend: ChildProcess?
}

/// Makes a device's directories, starts its back-end, and waits until it offers the device.
struct DeviceAttachment {
  let common: CommonOptions
  let store: XenStoreClient
  /// What the back-end's directory is called, if not by default.
  var backendType: String?
  /// The back-end ends with this process.
  var endsWithUs = false
  /// Further arguments of the back-end.
  var backendArguments: [String] = []

  /// How long a back-end may take to open what it serves.
  private static let patience = Duration.seconds(30)

  func attach(_ spec: DeviceSpec, to domain: DomainID, device: GuestDevice?) async throws -> AttachedDevice {
    let chosen = if let device { device } else { try await DeviceAddress.firstFree(spec.kind, in: domain, store) }
    let address = DeviceAddress(domain: domain, device: chosen, id: spec.id ?? DeviceAddress.defaultID(domain, chosen),
      backendType: common.backendType(of: spec.kind, backendType))
    if try await DeviceAddress.all(store).contains(where: { $0.id == address.id }) {
      throw CommandFailure("a device called \(address.id) is attached already: detach it first, or choose another id=")
    }
    let files = common.runDirectory.device(address.id)
    try RunDirectory.create(files.path)
    try await DeviceToolstack.create(address, spec, store)
    do {
      if case .net(let net) = spec, case .virtualSwitch(let name) = net.backing {
        let (holder, started) = try await waitForSwitch(name, address)
        return AttachedDevice(address: address, backendProcess: holder, backend: started)
      }
      let backend = try start(address, spec, files)
      try await waitForOffer(address, backend, files)
      return AttachedDevice(address: address, backendProcess: backend.processID, backend: backend)
    } catch {
      _ = try? await ToolstackDevice(paths: address.paths, store: XenbusClientStore(store)).remove(patience: .zero)
      files.remove()
      throw error
    }
  }

  /// Starts the back-end of an attached device again, whose process is gone.
  func restart(_ spec: DeviceSpec, at address: DeviceAddress) async throws -> ChildProcess {
    let files = common.runDirectory.device(address.id)
    let path = "\(address.paths.backend)/\(DeviceToolstack.restartsKey)"
    let restarts = try await store.readIfPresent(path).flatMap { Int($0) } ?? 0
    try await store.write(path, "\(restarts + 1)")
    // What the old one has said is not the new one's offer.
    try await store.write("\(address.paths.backend)/state", "\(XenbusState.initialising.rawValue)")
    let backend = try start(address, spec, files)
    try await waitForOffer(address, backend, files)
    return backend
  }

  private func start(_ address: DeviceAddress, _ spec: DeviceSpec, _ files: DeviceFiles) throws -> ChildProcess {
    do throws(Errno) {
      return try ChildProcess.spawnBackend(
        ["backend", spec.kind.backendCommand] + common.forwarded
          + ["--domain", "\(address.domain)", "--device", address.device.name, "--\(spec.option)", spec.text]
          + (endsWithUs ? ["--exit-with-parent"] : []) + backendArguments, log: files.backendLog)
    } catch {
      throw CommandFailure("cannot start a back-end for \(address.device): \(error)")
    }
  }

  /// Returns the switch's process when it offers the interface. Starts it if there is none, and again if it was just ending.
  private func waitForSwitch(_ name: String, _ address: DeviceAddress) async throws -> (holder: Int32, started: ChildProcess?) {
    let process = SwitchProcess(name: name, directory: common.runDirectory)
    let deadline = ContinuousClock.now + Self.patience
    var started: ChildProcess?
    while ContinuousClock.now < deadline {
      let state = XenbusState(storeValue: try await store.readIfPresent("\(address.paths.backend)/state"))
      if state == .initWait || state == .connected, let holder = process.holder { return (holder, started) }
      if let refusal = try await store.readIfPresent(address.paths.error(of: .backend)) { throw CommandFailure(refusal) }
      if process.holder == nil, started?.poll() != nil || started == nil { started = try process.start(common, endsWithUs: endsWithUs) }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw CommandFailure("switch \(name) did not offer \(address.device) within \(Self.patience); see \(process.log)")
  }

  /// Returns when the back-end has written InitWait; throws its own words when it ended instead.
  private func waitForOffer(_ address: DeviceAddress, _ backend: ChildProcess, _ files: DeviceFiles) async throws {
    let deadline = ContinuousClock.now + Self.patience
    while ContinuousClock.now < deadline {
      let state = XenbusState(storeValue: try await store.readIfPresent("\(address.paths.backend)/state"))
      if state == .initWait || state == .connected { return }
      if let ending = backend.poll() {
        throw CommandFailure(files.lastLogLine(of: files.backendLog) ?? "the back-end of \(address.device) ended with \(ending)")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
    backend.send(signal: SIGTERM)
    throw CommandFailure("the back-end of \(address.device) did not offer it within \(Self.patience); see \(files.backendLog)")
  }
}
