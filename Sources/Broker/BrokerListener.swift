import EventLoop
import LinuxSystem
import Logging
import SystemPackage
import XenPlatform

/// A listening socket on the loop.
final class BrokerListener {
  let socket: OwnedDescriptor
  private let loop: EventLoop
  private let logger: Logger
  private let onConnection: (consuming OwnedDescriptor) -> Void
  private var watch: DescriptorWatch?
  private static let connectionsPerTurn = 16
  private static let pauseNanoseconds: UInt64 = 100_000_000

  /// Listens at `path`.
  convenience init(
    path: String, loop: EventLoop, logger: Logger, onConnection: @escaping (consuming OwnedDescriptor) -> Void
  ) throws(PlatformError) {
    do {
      let socket = try UnixSocket.listen(at: path, kind: .sequencedPacket)
      try socket.setNonBlocking(true)
      self.init(socket: socket, loop: loop, logger: logger, onConnection: onConnection)
    } catch {
      throw .system(operation: "listen at \(path)", error)
    }
  }

  /// Goes on with a socket that listens already.
  init(socket: consuming OwnedDescriptor, loop: EventLoop, logger: Logger, onConnection: @escaping (consuming OwnedDescriptor) -> Void) {
    self.socket = socket
    self.loop = loop
    self.logger = logger
    self.onConnection = onConnection
    watch = loop.watchDescriptor(self.socket.rawValue, for: .readable) { [weak self] _ in self?.acceptWaiting() }
  }

  func close() {
    watch?.cancel()
    watch = nil
  }

  private func acceptWaiting() {
    for _ in 0..<Self.connectionsPerTurn {
      do {
        guard let connection = try UnixSocket.accept(on: socket) else { return }
        onConnection(connection)
      } catch {
        // Out of descriptors, most likely. The socket stays readable, so look again later instead of spinning.
        logger.error("cannot accept a connection: \(error)")
        watch?.update([])
        loop.schedule(afterNanoseconds: Self.pauseNanoseconds) { [weak self] in self?.watch?.update(.readable) }
        return
      }
    }
  }
}
