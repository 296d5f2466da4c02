import EventLoop
import LinuxSystem
import Logging
import SystemPackage

/// One listening socket.
final class StoreListener {
  /// How long to wait before accepting again when the process is out of descriptors or memory.
  private static let retryNanoseconds: UInt64 = 100_000_000
  /// Clients accepted in one turn.
  private static let acceptBudget = 16

  private unowned let server: XenStoreServer
  let socket: OwnedDescriptor
  let path: String
  let identity: XenStoreServer.Identity
  let removesFile: Bool
  private var watch: DescriptorWatch?
  private var retry: LoopTimer?

  init(server: XenStoreServer, socket: consuming OwnedDescriptor, path: String, identity: XenStoreServer.Identity, removesFile: Bool) {
    self.server = server
    self.socket = socket
    self.path = path
    self.identity = identity
    self.removesFile = removesFile
    watch = server.loop.watchDescriptor(self.socket.rawValue, for: .readable) { [weak self] _ in self?.acceptWaiting() }
  }

  func close() {
    watch?.cancel()
    watch = nil
    retry?.cancel()
    UnixSocket.shutDown(socket)
    if removesFile { UnixSocket.removeFile(at: path) }
  }

  private func acceptWaiting() {
    for _ in 0..<StoreListener.acceptBudget {
      do throws(Errno) {
        guard let client = try UnixSocket.accept(on: socket) else { return }
        server.accepted(client, identity: identity, listenerPath: path)
      } catch {
        server.logger.error("store: cannot accept on \(path): \(error)")
        watch?.update([])
        retry = server.loop.schedule(afterNanoseconds: StoreListener.retryNanoseconds) { [weak self] in self?.watch?.update(.readable) }
        return
      }
    }
  }
}
