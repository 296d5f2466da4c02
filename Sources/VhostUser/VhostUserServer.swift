import EventLoop
public import LinuxSystem
public import Logging
public import SystemPackage
import VirtioRing

/// Serves one device to VMMs, one after the other: on a listening socket, or on one connection that somebody else made.
///
/// ```swift
/// let server = try VhostUserServer(device, listeningAt: "/run/pvio/devices/disk0/vhost-user.sock", logger: logger) { print($0) }
/// server.stop { … }
/// ```
/// Belongs to the device's loop; every call on its thread. A second VMM waits until the first one has gone.
public final class VhostUserServer {
  /// What the user hears of.
  public enum Notice: Sendable, Equatable {
    case connected
    /// The VMM has gone, by itself or because of what it did.
    case disconnected(VhostUserError?)
  }

  private let device: VhostUserDevice
  private let logger: Logger
  private let onNotice: (Notice) -> Void
  private let path: String?
  private let listener: SharedDescriptor?
  private var watch: DescriptorWatch?
  private var session: VhostUserSession?
  private var stopping: (() -> Void)?

  /// Listens at `path`, for the owner alone. Throws `EADDRINUSE` when somebody listens there.
  public init(
    _ device: VhostUserDevice, listeningAt path: String, logger: Logger, onNotice: @escaping (Notice) -> Void
  ) throws(Errno) {
    self.device = device
    self.logger = logger
    self.onNotice = onNotice
    self.path = path
    let socket = SharedDescriptor(try UnixSocket.listen(at: path, kind: .stream, mode: 0o600))
    try socket.descriptor.setNonBlocking(true)
    listener = socket
    watch = device.loop.watchDescriptor(socket.rawValue, for: .readable) { [weak self] _ in self?.accept() }
  }

  /// Serves a connection that was made already (`--fd`), and nobody after it.
  public init(_ device: VhostUserDevice, connected socket: consuming OwnedDescriptor, logger: Logger, onNotice: @escaping (Notice) -> Void) throws(Errno) {
    self.device = device
    self.logger = logger
    self.onNotice = onNotice
    path = nil
    listener = nil
    try socket.setNonBlocking(true)
    begin(socket)
  }

  /// Whether a VMM is connected.
  public var isConnected: Bool { session != nil }

  private func accept() {
    // One at a time: the others wait in the kernel, and get their turn when this one has gone.
    guard session == nil, stopping == nil, let listener, let socket = try? UnixSocket.accept(on: listener.descriptor) else { return }
    watch?.update([])
    begin(socket)
  }

  private func begin(_ socket: consuming OwnedDescriptor) {
    let session = VhostUserSession(socket, device: device, logger: logger) { [weak self] _, failure in self?.ended(failure) }
    self.session = session
    session.start()
    onNotice(.connected)
  }

  private func ended(_ failure: VhostUserError?) {
    session = nil
    if let failure { logger.error("the VMM's connection was ended: \(failure)") }
    onNotice(.disconnected(failure))
    if let stopping {
      self.stopping = nil
      return stopping()
    }
    watch?.update(.readable)
  }

  /// Ends the connection, finishes what is under way, removes the socket.
  public func stop(_ done: @escaping () -> Void) {
    watch?.cancel()
    watch = nil
    if let path { UnixSocket.removeFile(at: path) }
    guard let session else { return done() }
    stopping = done
    session.end(nil)
  }
}
