import BlockBack
import DriverCommands
import EventLoop
import Logging
import PVDriver
import XenInterface
import XenPlatform
import XenStoreClient
import Xenbus

/// Serves every device of one back-end type that appears in the store, each on a thread of its own: what a driver of domain 0's kernel
/// does. What a device is served from stands in its own directory, as the toolstack left it there.
struct BackendFleet {
  let kind: DeviceKind
  /// What the back-ends' directories are called: `vbd`, `pvio-vbd`.
  let type: String
  let host: Host
  let directory: RunDirectory
  let logger: Logger

  /// The command's work: until a signal comes.
  static func run(_ kind: DeviceKind, type: String?, _ common: CommonOptions) async throws {
    Process.takeSignals()
    let host = try Host.connect(common)
    let pidfile = try common.holdPIDFile()
    let type = common.backendType(of: kind, type) ?? kind.storeName
    let fleet = BackendFleet(kind: kind, type: type, host: host, directory: common.runDirectory, logger: common.logger("pvio.backend"))
    ServiceManager.sayReady("pvio backend ready: every device below \(DeviceAddress.backends(type))")
    try await fleet.run(until: .bySignal())
    host.store.close()
    _ = consume pidfile
  }

  /// Until `isStopped`. Devices stay connected then, where the platform allows another process to go on.
  func run(until isStopped: StopRequest) async throws {
    try await DeviceFollower(kind, store: host.store, logger: logger).run(until: isStopped, idlePatience: nil) { address in
      guard address.paths.backendKind == type else { return nil }
      return try await begin(address)
    }
  }

  private func begin(_ address: DeviceAddress) async throws -> DeviceFollower.Served? {
    let store = host.store
    let values = try await StoreWalk.values(below: address.paths.backend, store) ?? [:]
    // The toolstack has made the directory and not yet filled it, or is about to remove it: it will change once more.
    guard values["state"] != nil, values["online"] != "0" else { return nil }
    guard let source = DeviceSource(address, values) else {
      throw CommandFailure("its directory \(address.paths.backend) does not say what to serve: 'params' is missing, and '\(DeviceToolstack.specKey)'")
    }
    let spec = try source.spec()
    return .begin(address, directory, store, logger) { [host, directory, logger] isStopped in
      switch spec {
      case .disk(let disk):
        try await DiskService(address: address, spec: disk, directory: directory, logger: logger)
          .run(platform: host.platform, store: store, isStopped: isStopped)
      case .net(let net):
        try await NetService(address: address, spec: net, directory: directory, logger: logger)
          .run(platform: host.platform, store: store, isStopped: isStopped)
      case .driver(let spec):
        throw CommandFailure("\(spec.kind.name) is served one device at a time: 'pvio backend \(spec.kind.name)'")
      }
    }
  }
}
