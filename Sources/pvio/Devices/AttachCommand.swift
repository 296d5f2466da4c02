import ArgumentParser
import Glibc
import LinuxSystem
import SystemPackage
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio attach`: gives a domain a device of a running daemon, served by a back-end process of its own.
struct AttachCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "attach", abstract: "Attach a device to a domain of a running daemon.")

  @OptionGroup var common: CommonOptions
  @Option(help: "The name in the domain, such as xvdb (default: the first that is free).") var device: String?
  @Flag(help: "Print JSON.") var json = false
  @Argument(help: "The domain, by number or name.") var domain: String
  @Argument(help: "disk") var kind: String
  @Argument(help: "What to serve ('help' lists the keys).") var spec: String

  private struct Result: Encodable {
    var id: String
    var domid: UInt16
    var device: String
    var backend_pid: Int32
  }

  func run() async throws {
    guard kind == "disk" else { throw CommandFailure.usage("attach: '\(kind)' is no kind of device; expected disk") }
    let disk = try DiskSpec.parse(spec, option: "attach disk")
    let platform = try DaemonConnection.platform(common.runDirectory)
    let store = try DaemonConnection.store(common.runDirectory)
    defer { store.close() }
    let domid = try DomainLookup.find(domain, platform)
    let attached = try await DiskAttachment(common: common, store: store).attach(disk, to: domid, device: device.map(DeviceAddress.parse))
    let address = attached.address
    if json {
      return try printJSON(
        Result(id: address.id, domid: domid.rawValue, device: address.device.name, backend_pid: attached.backend.processID))
    }
    print("\(address.device) of domain \(domid) is \(address.id), served by process \(attached.backend.processID)")
  }
}

/// A disk and the process that serves it.
struct AttachedDisk {
  var address: DeviceAddress
  var backend: ChildProcess
}

/// Makes a disk's directories, starts its back-end, and waits until it offers the disk.
struct DiskAttachment {
  let common: CommonOptions
  let store: XenStoreClient
  /// The back-end ends with this process.
  var endsWithUs = false
  /// Further arguments of the back-end.
  var backendArguments: [String] = []

  /// How long a back-end may take to open its image.
  private static let patience = Duration.seconds(30)

  func attach(_ spec: DiskSpec, to domain: DomainID, device: VirtualDevice?) async throws -> AttachedDisk {
    let chosen: VirtualDevice
    if let device { chosen = device } else { chosen = try await DeviceAddress.firstFree(in: domain, store) }
    let address = DeviceAddress(domain: domain, device: chosen, id: spec.id ?? DeviceAddress.defaultID(domain, chosen))
    if try await DeviceAddress.all(store).contains(where: { $0.id == address.id }) {
      throw CommandFailure("a device called \(address.id) is attached already: detach it first, or choose another id=")
    }
    let files = common.runDirectory.device(address.id)
    try RunDirectory.create(files.path)
    try await DiskToolstack.create(address, spec, store)
    do {
      let backend = try start(address, spec, files)
      try await waitForOffer(address, backend, files)
      return AttachedDisk(address: address, backend: backend)
    } catch {
      _ = try? await ToolstackDevice(paths: address.paths, store: XenbusClientStore(store)).remove(patience: .zero)
      files.remove()
      throw error
    }
  }

  private func start(_ address: DeviceAddress, _ spec: DiskSpec, _ files: DeviceFiles) throws -> ChildProcess {
    do throws(Errno) {
      let log = try OwnedDescriptor.open(files.backendLog, flags: O_WRONLY | O_CREAT | O_APPEND)
      let nowhere = try OwnedDescriptor.open("/dev/null", flags: O_RDWR)
      var options = ChildProcess.Options()
      options.standardInput = nowhere.rawValue
      options.standardOutput = nowhere.rawValue
      options.standardError = log.rawValue
      options.newSession = true
      let arguments =
        ["backend", "block"] + common.forwarded + ["--domain", "\(address.domain)", "--device", address.device.name, "--disk", spec.text]
        + (endsWithUs ? ["--exit-with-parent"] : []) + backendArguments
      return try ChildProcess.spawn(ChildProcess.ownExecutable, arguments, options)
    } catch {
      throw CommandFailure("cannot start a back-end for \(address.device): \(error)")
    }
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
    throw CommandFailure("the back-end of \(address.device) did not offer the disk within \(Self.patience); see \(files.backendLog)")
  }
}
