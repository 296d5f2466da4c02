public import BlockFront
import EventLoop
import LinuxSystem
public import SystemPackage

/// Serves a front-end's device to NBD clients on a Unix socket: qemu-img, nbdcopy, fio, the kernel's nbd, and others.
///
/// ```swift
/// let geometry = try await disk.waitUntilConnected()
/// let server = try await NBDServer.start(disk, socketPath: "/run/pvio/devices/disk0/nbd.sock")
/// // nbdinfo 'nbd+unix:///?socket=/run/pvio/devices/disk0/nbd.sock'
/// await server.stop()
/// ```
/// It runs on the front-end's loop, so that data goes between socket and granted pages without another thread.
/// Whoever may open the socket (mode 0600) may read and write the device.
public final class NBDServer: Sendable {
  public let socketPath: String
  /// Served as long as its clients are.
  private let frontend: BlockFrontend
  private let listener: LoopConfined<NBDListener>

  private init(_ frontend: BlockFrontend, socketPath: String, listener: LoopConfined<NBDListener>) {
    self.frontend = frontend
    self.socketPath = socketPath
    self.listener = listener
  }

  /// Begins to listen. The device should be connected: without a geometry, clients are told to come later.
  /// - Throws: `EADDRINUSE` when somebody listens at the path, `ENAMETOOLONG` for a name above 256 or a description above 1024
  ///   bytes or a path that is no socket address, and what else the socket calls say.
  public static func start(
    _ frontend: BlockFrontend, socketPath: String, configuration: NBDExportConfiguration = NBDExportConfiguration()
  ) async throws(Errno) -> NBDServer {
    // What every client can read (doc/proto.md, "Limits" asks for names of at most 4096 bytes).
    guard configuration.name.utf8.count <= 256, configuration.description.utf8.count <= 1024 else { throw .fileNameTooLong }
    let result = await frontend.loop.run { () -> Result<LoopConfined<NBDListener>, Errno> in
      do throws(Errno) {
        let listener = try NBDListener(path: socketPath, plane: frontend.plane.value, export: configuration)
        return .success(LoopConfined(listener, on: frontend.loop))
      } catch {
        return .failure(error)
      }
    }
    return NBDServer(frontend, socketPath: socketPath, listener: try result.get())
  }

  /// Clients that are connected now.
  public func connectionCount() async -> Int { await listener.loop.run { [listener] in listener.value.connectionCount } }

  /// Ends every connection and removes the socket. What the device has of them goes on.
  public func breakOff() async { await listener.loop.run { [listener] in listener.value.breakOff() } }

  /// The same, and finishes what the device has of them: as long as that takes.
  public func stop() async {
    await withCheckedContinuation { continuation in
      listener.loop.execute { [listener] in listener.value.stop { continuation.resume() } }
    }
  }
}

/// The listening socket and its connections. Loop thread only.
final class NBDListener {
  private let path: String
  private let plane: BlockFrontPlane
  private let export: NBDExportConfiguration
  private let socket: OwnedDescriptor
  private var watch: DescriptorWatch?
  private var connections: [ObjectIdentifier: NBDConnection] = [:]
  private var stopped: (() -> Void)?

  init(path: String, plane: BlockFrontPlane, export: NBDExportConfiguration) throws(Errno) {
    self.path = path
    self.plane = plane
    self.export = export
    socket = try UnixSocket.listen(at: path, kind: .stream, mode: 0o600)
    try socket.setNonBlocking(true)
    watch = plane.loop.watchDescriptor(socket.rawValue, for: .readable) { [weak self] _ in self?.accept() }
  }

  var connectionCount: Int { connections.count }

  private func accept() {
    // A failure concerns one client (or there are no descriptors left, which passes): the next event tries again.
    while let client = try? UnixSocket.accept(on: socket) {
      // Beyond the limit the client finds its connection closed.
      guard connections.count < export.maximumConnectionCount else { continue }
      do {
        // io_uring waits by itself, and must not be told to come back later.
        try client.setNonBlocking(false)
        let connection = try NBDConnection(client, plane: plane, export: export) { [weak self] in self?.remove($0) }
        connections[ObjectIdentifier(connection)] = connection
        plane.loop.attach(connection)
        connection.start()
      } catch { continue }
    }
  }

  private func remove(_ connection: NBDConnection) {
    connections[ObjectIdentifier(connection)] = nil
    finishStopping()
  }

  func breakOff() {
    guard let watch else { return }
    watch.cancel()
    self.watch = nil
    UnixSocket.removeFile(at: path)
    for connection in connections.values { connection.breakOff() }
  }

  func stop(_ done: @escaping () -> Void) {
    breakOff()
    stopped = done
    finishStopping()
  }

  private func finishStopping() {
    guard connections.isEmpty, let done = stopped else { return }
    stopped = nil
    done()
  }
}
