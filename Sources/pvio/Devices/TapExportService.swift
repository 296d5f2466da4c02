import DriverCommands
import EventLoop
import Logging
import NetFront
import NetPackets
import NetTap
import ProcessPlatform
import TapExport
import XenInterface
import XenStoreClient
import Xenbus

/// An interface's front-end and its TAP interface, as the interface's own domain, until the device is removed or a signal comes.
struct TapExportService {
  let address: DeviceAddress
  let directory: RunDirectory
  let configuration: NetFrontConfiguration
  let tap: TapConfiguration
  let logger: Logger

  func run() async throws {
    let platform = try DaemonConnection.platform(directory, as: address.domain)
    let store = try DaemonConnection.store(directory, as: address.domain)
    defer { store.close() }
    let thread = try EventLoopThread.started("front")
    defer { thread.stopAndJoin() }
    let keys = try await toolstackKeys(store)
    var tap = tap
    tap.address = keys.address
    tap.mtu = keys.mtu
    let interface = NetFrontend(on: thread.loop, configuration: configuration)
    let export: TapExport
    do { export = try await TapExport.start(interface, tap) } catch { throw CommandFailure("\(error)") }
    let notices = XenbusNotices()
    let driver = NetFrontendDriver(
      interface, address: keys.address, mtu: keys.mtu ?? 1500, platform: platform, notices: notices, logger: logger)
    let life = XenbusFrontend(driver: driver, paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let signals = Task {
      _ = await Process.nextSignal()
      notices.stop()
    }
    let reports = Task { await report(interface) }
    let ending = Task { try await life.run() }
    let outcome = await Result { try await serve(interface, until: ending) }
    signals.cancel()
    notices.stop()
    _ = await ending.result
    await interface.close()
    await export.stop()
    await reports.value
    try outcome.get()
  }

  /// What the toolstack wrote into the front-end's directory, which the front-end's domain can read.
  private func toolstackKeys(_ store: XenStoreClient) async throws -> (address: MACAddress?, mtu: Int?) {
    let mac = try await store.readIfPresent("\(address.paths.frontend)/\(NetifKeys.Frontend.mac.name)")
    let mtu = try await store.readIfPresent("\(address.paths.frontend)/\(NetifKeys.Frontend.mtu.name)")
    return (mac.flatMap { MACAddress($0) }, mtu.flatMap { Int($0) })
  }

  private func serve(_ interface: NetFrontend, until ending: Task<XenbusEnding, any Error>) async throws {
    guard await FirstConnection.isMade(before: ending, connected: { await interface.waitUntilConnected() != nil }) else {
      let store = try DaemonConnection.store(directory)
      defer { store.close() }
      throw CommandFailure(try await DeviceReport.read(address, directory, store).diagnosis)
    }
    print("pvio export ready: \(tap.name)\(tap.namespace.map { " in \($0)" } ?? "")")
    flushOutput()
    ServiceManager.notifyReady()
    let end: XenbusEnding
    do { end = try await ending.value } catch { throw CommandFailure("\(address.paths): \(error)") }
    if case .failed(let reason) = end { throw CommandFailure("\(address.paths): \(reason)") }
  }

  private func report(_ interface: NetFrontend) async {
    let name = "\(address.device) of domain \(address.domain)"
    for await report in interface.reports() {
      switch report {
      case .connected(let link): logger.info("\(name): connected, \(link.queueCount) queues, link \(link.isUp ? "up" : "down")")
      case .changed(let link): logger.notice("\(name): link \(link.isUp ? "up" : "down")")
      case .backendLost(let reason): logger.error("\(name): back-end lost (\(reason)); the link is down until it returns")
      case .disconnected: logger.notice("\(name): disconnected; the link is down until a back-end connects")
      case .broken(let fault): logger.error("\(name): \(fault); the connection is given up")
      case .closed: return
      }
      try? writeJSON(FrontendStatus(interface.status), to: directory.device(address.id).frontendStatus)
    }
  }
}

extension Result where Failure == any Error {
  /// What `body` returns or throws.
  fileprivate init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}
