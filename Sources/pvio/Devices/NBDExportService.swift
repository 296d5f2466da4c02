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

/// A disk's front-end and its NBD socket, as the disk's own domain, until the device is removed or a signal comes.
struct NBDExportService {
  let address: DeviceAddress
  let directory: RunDirectory
  let socketPath: String
  let configuration: BlockFrontConfiguration
  let logger: Logger

  func run() async throws {
    let platform = try DaemonConnection.platform(directory, as: address.domain)
    let store = try DaemonConnection.store(directory, as: address.domain)
    let thread = try EventLoopThread.started("front")
    defer { thread.stopAndJoin() }
    let notices = XenbusNotices()
    let disk = BlockFrontend(on: thread.loop, configuration: configuration)
    let driver = BlockFrontendDriver(disk, platform: platform, notices: notices, logger: logger)
    let life = XenbusFrontend(driver: driver, paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: logger)
    let signals = Task {
      _ = await Process.nextSignal()
      notices.stop()
    }
    let reports = Task { await report(disk) }
    let ending = Task { try await life.run() }
    defer {
      signals.cancel()
      store.close()
    }
    do {
      try await serve(disk, until: ending)
    } catch {
      notices.stop()
      _ = await ending.result
      await disk.close()
      await reports.value
      throw error
    }
    await disk.close()
    await reports.value
  }

  private func serve(_ disk: BlockFrontend, until ending: Task<XenbusEnding, any Error>) async throws {
    guard await FirstConnection.isMade(before: ending, connected: { (try? await disk.waitUntilConnected()) != nil }) else {
      throw CommandFailure("\(try await diagnosis())")
    }
    let server: NBDServer
    do {
      server = try await NBDServer.start(disk, socketPath: socketPath)
    } catch {
      throw CommandFailure("cannot listen on \(socketPath): \(error)")
    }
    print("pvio export ready: nbd+unix:///?socket=\(socketPath)")
    flushOutput()
    ServiceManager.notifyReady()
    let end: XenbusEnding
    do {
      end = try await ending.value
    } catch {
      await server.stop()
      throw CommandFailure("\(address.paths): \(error)")
    }
    await server.stop()
    if case .failed(let reason) = end { throw CommandFailure("\(address.paths): \(reason)") }
  }

  private func diagnosis() async throws -> String {
    let store = try DaemonConnection.store(directory)
    defer { store.close() }
    return try await DeviceReport.read(address, directory, store).diagnosis
  }

  private func report(_ disk: BlockFrontend) async {
    let name = "\(address.device) of domain \(address.domain)"
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
      try? writeJSON(FrontendStatus(disk.status), to: directory.device(address.id).frontendStatus)
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
