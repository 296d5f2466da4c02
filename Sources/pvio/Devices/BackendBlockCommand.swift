import ArgumentParser
import BlockBack
import BlockEngine
import EventLoop
import LinuxSystem
import Logging
import PVDriver
import ProcessPlatform
import SystemPackage
import XenInterface
import XenStoreClient
import Xenbus

/// `pvio backend block`: serves a disk to one domain until it is detached or a signal comes.
struct BackendBlockCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "block", abstract: "Serve a disk image to a domain.")

  @OptionGroup var common: CommonOptions

  @Option(help: ArgumentHelp("What to serve ('help' lists the keys).", valueName: "spec"))
  var disk: String

  @Option(help: "The domain to serve, by number or name.")
  var domain: String

  @Option(help: "The device there, such as xvda (default: the first that is free).")
  var device: String?

  @Flag(help: ArgumentHelp("End when the process that started this one ends.", visibility: .hidden))
  var exitWithParent = false

  @Option(help: ArgumentHelp("The processor (0-based) that serves the disk.", visibility: .hidden))
  var processor: Int?

  func run() async throws {
    Process.takeSignals()
    if exitWithParent { OwnedChildProcess.endWithParent(signal: .terminate) }
    let spec = try DiskSpec.parse(disk)
    let directory = common.runDirectory
    let platform = try DaemonConnection.platform(directory)
    let store = try DaemonConnection.store(directory)
    let address = try await address(spec, platform, store)
    let pidfile = try common.holdPIDFile()
    let lock = try await DeviceLock.take(address, directory)
    let service = DiskService(address: address, spec: spec, directory: directory, logger: common.logger("pvio.backend"), processor: processor)
    let isNew = try await DiskToolstack.createUnlessThere(address, spec, store)
    let outcome: BackendSupervisor.Report
    do {
      outcome = try await service.run(platform: platform, store: store)
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

  private func address(_ spec: DiskSpec, _ platform: ProcessPlatform, _ store: XenStoreClient) async throws -> DeviceAddress {
    let domid = try DomainLookup.find(domain, platform)
    let chosen: VirtualDevice
    if let device { chosen = try DeviceAddress.parse(device) } else { chosen = try await DeviceAddress.firstFree(in: domid, store) }
    let known = try await DeviceAddress.all(in: domid, store).first { $0.device == chosen }
    return known ?? DeviceAddress(domain: domid, device: chosen, id: spec.id ?? DeviceAddress.defaultID(domid, chosen))
  }
}
