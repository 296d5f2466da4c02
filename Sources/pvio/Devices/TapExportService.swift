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

/// An interface's front-end and its TAP interface.
struct TapExportService {
  let life: ExportLife
  let configuration: NetFrontConfiguration
  let tap: TapConfiguration

  func run() async throws {
    let (platform, store) = try life.connect()
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
    let driver = NetFrontendDriver(
      interface, address: keys.address, mtu: keys.mtu ?? 1500, platform: platform, notices: life.notices, logger: life.logger)
    let reports = Task { await report(interface) }
    let outcome = await Result.of {
      try await life.run(driver, store, isConnected: { await interface.waitUntilConnected() != nil }) {
        "\(tap.name)\(tap.namespace.map { " in \($0)" } ?? "")"
      }
    }
    await interface.close()
    await export.stop()
    await reports.value
    try outcome.get()
  }

  /// What the toolstack wrote into the front-end's directory, which the front-end's domain can read.
  private func toolstackKeys(_ store: XenStoreClient) async throws -> (address: MACAddress?, mtu: Int?) {
    let directory = life.address.paths.frontend
    let mac = try await store.readIfPresent("\(directory)/\(NetifKeys.Frontend.mac.name)")
    let mtu = try await store.readIfPresent("\(directory)/\(NetifKeys.Frontend.mtu.name)")
    return (mac.flatMap { MACAddress($0) }, mtu.flatMap { Int($0) })
  }

  private func report(_ interface: NetFrontend) async {
    let (name, logger) = ("\(life.address.device) of domain \(life.address.domain)", life.logger)
    for await report in interface.reports() {
      switch report {
      case .connected(let link): logger.info("\(name): connected, \(link.queueCount) queues, link \(link.isUp ? "up" : "down")")
      case .changed(let link): logger.notice("\(name): link \(link.isUp ? "up" : "down")")
      case .backendLost(let reason): logger.error("\(name): back-end lost (\(reason)); the link is down until it returns")
      case .disconnected: logger.notice("\(name): disconnected; the link is down until a back-end connects")
      case .broken(let fault): logger.error("\(name): \(fault); the connection is given up")
      case .closed: return
      }
      try? writeJSON(FrontendStatus(interface.status), to: life.files.frontendStatus)
    }
  }
}
