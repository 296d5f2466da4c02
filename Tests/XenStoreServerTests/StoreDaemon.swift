import EventLoop
import Foundation
import Logging
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreServer

/// A store on a loop thread of this process, with a socket for the control domain and one for domain 5, in a directory of its own.
final class StoreDaemon: Sendable {
  /// Only touched on the loop's thread.
  private final class Holder: @unchecked Sendable {
    var server: XenStoreServer?
  }

  let directory: String
  let thread: EventLoopThread
  private let holder: Holder

  var privilegedPath: String { directory + "/socket" }
  var guestPath: String { directory + "/domain-5" }

  private init(directory: String, thread: EventLoopThread, holder: Holder) {
    self.directory = directory
    self.thread = thread
    self.holder = holder
  }

  static func start(quotas: XenStoreQuotas = XenStoreQuotas()) async throws -> StoreDaemon {
    let directory = FileManager.default.temporaryDirectory.appending(path: "pvio-store-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let thread = try EventLoopThread.start(name: "store-test")
    let holder = Holder()
    let daemon = StoreDaemon(directory: directory, thread: thread, holder: holder)
    let loop = thread.loop
    await loop.run {
      var logger = Logger(label: "store-test")
      logger.logLevel = .critical
      holder.server = XenStoreServer(loop: loop, core: XenStoreCore(quotas: quotas), logger: logger)
    }
    let privilegedPath = daemon.privilegedPath
    let guestPath = daemon.guestPath
    try await daemon.perform { server in
      try server.listen(path: privilegedPath, identity: .privileged)
      try server.listen(path: guestPath, identity: .domain(DomainID(rawValue: 5)))
    }
    return daemon
  }

  /// Runs `body` with the server on its thread.
  func perform<Result: Sendable>(_ body: @escaping @Sendable (XenStoreServer) throws -> Result) async throws -> Result {
    try await thread.loop.run { [holder] in Swift.Result { try body(holder.server!) } }.get()
  }

  func stop() async {
    await thread.loop.run { [holder] in
      holder.server?.close()
      holder.server = nil
    }
    thread.stopAndJoin()
    do { try FileManager.default.removeItem(atPath: directory) } catch {}
  }
}

/// Runs `body` with a daemon that is stopped afterwards, whatever happens.
func withDaemon(quotas: XenStoreQuotas = XenStoreQuotas(), _ body: (StoreDaemon) async throws -> Void) async throws {
  let daemon = try await StoreDaemon.start(quotas: quotas)
  do {
    try await body(daemon)
  } catch {
    await daemon.stop()
    throw error
  }
  await daemon.stop()
}
