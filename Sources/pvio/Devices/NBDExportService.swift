import BlockFront
import DriverCommands
import EventLoop
import Logging
import NBDExport
import PVDriver
import ProcessPlatform
import XenInterface
import XenStoreClient
import Xenbus

/// A disk's front-end and its NBD socket.
struct NBDExportService {
  let life: ExportLife
  let socketPath: String
  let configuration: BlockFrontConfiguration

  func run() async throws {
    let (platform, store) = try life.connect()
    defer { store.close() }
    let thread = try EventLoopThread.started("front")
    defer { thread.stopAndJoin() }
    let disk = BlockFrontend(on: thread.loop, configuration: configuration)
    let driver = BlockFrontendDriver(disk, platform: platform, notices: life.notices, logger: life.logger)
    let reports = Task { await report(disk) }
    var server: NBDServer?
    let outcome = await Result.of {
      try await life.run(driver, store, isConnected: { (try? await disk.waitUntilConnected()) != nil }) {
        do { server = try await NBDServer.start(disk, socketPath: socketPath) } catch { throw CommandFailure("cannot listen on \(socketPath): \(error)") }
        return "nbd+unix:///?socket=\(socketPath)"
      }
    }
    // The device has gone for good: what waits for a back-end fails, instead of being waited for.
    await server?.breakOff()
    await disk.close()
    await server?.stop()
    await reports.value
    try outcome.get()
  }

  private func report(_ disk: BlockFrontend) async {
    let (name, logger) = ("\(life.address.device) of domain \(life.address.domain)", life.logger)
    for await report in disk.reports() {
      switch report {
      case .connected(let geometry): logger.info("\(name): connected, \(geometry.byteCount) bytes")
      case .reconnected: logger.notice("\(name): connected again")
      case .changed(let geometry): logger.notice("\(name): \(geometry.byteCount) bytes now")
      case .featureRefused(let operation): logger.warning("\(name): the back-end refuses \(operation), which it had offered; it is not used any more")
      case .backendLost(let reason): logger.error("\(name): back-end lost (\(reason)); requests wait for it to return")
      case .disconnected: logger.notice("\(name): disconnected; requests wait for a back-end")
      case .broken(let fault): logger.error("\(name): \(fault); the connection is given up")
      case .closed: return
      }
      try? writeJSON(FrontendStatus(disk.status), to: life.files.frontendStatus)
    }
  }
}

/// What a front-end says of itself, for `pvio status`.
struct FrontendStatus: Codable {
  var connected: Bool
  var connections: UInt64
  var failure: String?
}

extension FrontendStatus {
  init(_ status: some FrontConnectionStatus) {
    self.init(connected: status.isConnected, connections: status.connectionCount, failure: status.failure)
  }
}
