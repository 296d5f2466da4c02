import LinuxSystem
public import Logging
public import PVDriver
public import XenPlatform
import XenInterface
public import XenStoreClient
import Xenbus

/// What every back-end process of one device does around serving it: finds the device or makes it, holds its lock, and takes back
/// what it made when serving did not even begin.
public struct BackendProcess {
  let common: CommonOptions
  let spec: any AttachableSpec
  let domain: String
  let device: String?
  let type: String?
  let exitsWithParent: Bool
  let loggerLabel: String

  /// - Parameters:
  ///   - domain: number or name.
  ///   - device: name or number there; nil: the first that is free.
  ///   - type: what the back-end's directory is called; nil: as the platform has it.
  ///   - exitsWithParent: end when the process that started this one ends.
  public init(
    common: CommonOptions, spec: any AttachableSpec, domain: String, device: String?, type: String? = nil, exitsWithParent: Bool = false,
    loggerLabel: String = "pvio.backend"
  ) {
    self.common = common
    self.spec = spec
    self.domain = domain
    self.device = device
    self.type = type
    self.exitsWithParent = exitsWithParent
    self.loggerLabel = loggerLabel
  }

  /// Serves until the device is detached, a signal comes or it cannot go on. Throws ``CommandFailure``.
  public func run(
    _ serve: (DeviceAddress, any XenPlatform, XenStoreClient, Logger) async throws -> BackendSupervisor.Report
  ) async throws {
    Process.takeSignals()
    if exitsWithParent { OwnedChildProcess.endWithParent(signal: .terminate) }
    let directory = common.runDirectory
    let host = try Host.connect(common)
    let (platform, store) = (host.platform, host.store)
    let address = try await address(host)
    let pidfile = try common.holdPIDFile()
    let lock = try await DeviceLock.take(address, directory)
    let isNew = try await DeviceToolstack.createUnlessThere(address, spec, store)
    let outcome: BackendSupervisor.Report
    do {
      outcome = try await serve(address, platform, store, common.logger(loggerLabel))
    } catch {
      // A device that never was served is taken back: nobody else knows of it.
      if isNew {
        _ = try? await ToolstackDevice(paths: address.paths, store: XenbusClientStore(store)).remove(patience: .zero)
        lock.release()
        directory.device(address.id).remove()
      }
      throw error
    }
    lock.release()
    _ = consume pidfile
    store.close()
    if outcome.exitCode != 0 { throw CommandFailure(outcome.text) }
  }

  private func address(_ host: Host) async throws -> DeviceAddress {
    let store = host.store
    let domid = try await host.domain(named: domain)
    let chosen =
      if let device { try GuestDevice.parse(device, kind: spec.kind) } else { try await DeviceAddress.firstFree(spec.kind, in: domid, store) }
    let known = try await DeviceAddress.all(of: spec.kind, in: domid, store).first { $0.device == chosen }
    return known
      ?? DeviceAddress(
        domain: domid, device: chosen, id: spec.id ?? DeviceAddress.defaultID(domid, chosen), backendType: common.backendType(of: spec.kind, type))
  }
}
