public import EventLoop
public import LinuxSystem
public import Logging
import SharedMemory
public import SystemPackage
public import XenInterface
public import XenStoreCore

/// Serves a store on Unix sockets. Who may open a socket is who may act as its domain, so a socket's place and file permissions are
/// the domain's identity.
///
/// Made and used on the loop's thread only; ``close()`` it before letting it go. Changes that are made to the core directly are sent out by ``flush()``.
/// ```swift
/// let server = XenStoreServer(loop: loop, core: XenStoreCore(), logger: logger)
/// try server.listen(path: "/run/pvio/xenstored/socket", identity: .privileged)
/// ```
public final class XenStoreServer {
  /// Whom the connections of a socket act as.
  public enum Identity: Hashable, Sendable {
    /// The control domain, with every right.
    case privileged
    /// One domain, held to its permissions and limits.
    case domain(DomainID)
  }

  /// Most connections of one listening socket at a time; a further one is closed at once.
  public static let connectionLimitPerListener = 1024

  public let core: XenStoreCore
  let loop: EventLoop
  let logger: Logger
  var listeners: [String: StoreListener] = [:]
  private(set) var connections = XenStoreConnectionTable<StoreLink>()
  /// Connections by the listening socket through which they came.
  private var socketCounts: [String: Int] = [:]
  /// Where links put what arrives; one for all, because a link hands it over at once. Its size is what one link may bring in a turn,
  /// so that a busy client does not keep the loop from the others.
  let inputBuffer = FixedCell([UInt8](repeating: 0, count: XenStoreServer.inputByteCount))
  static let inputByteCount = 16 << 10
  private let pace = StorePace()
  private var clockTimer: LoopTimer?
  private var clockDeadline = UInt64.max
  /// Maps a domain's page and binds its channel; nil where there are no pages.
  var openRing: RingOpener?
  /// Keeps the store on disk; nil for a store in memory.
  var journal: StoreJournal?

  public init(loop: EventLoop, core: XenStoreCore, logger: Logger) {
    self.loop = loop
    self.core = core
    self.logger = logger
    loop.attach(pace)
    core.onPrint = { logger.notice("store: control print: \($0.debugDescription)") }
    core.onTrace = { logger.notice("store: trace: \($0)") }
    core.onRefusal = { logger.warning("store: \($0)") }
    core.startAudit(core.audit ?? XenStoreAudit()) { WallClock.unixMicroseconds }
  }

  // MARK: Sockets

  /// Listens at `path`, with access for this user only (0600). A socket that a dead daemon left behind is replaced.
  /// Throws `EADDRINUSE` when somebody answers there, `ENAMETOOLONG` when the path does not fit a socket address.
  public func listen(path: String, identity: Identity) throws(Errno) {
    guard listeners[path] == nil else { throw .addressInUse }
    let socket = try UnixSocket.listen(at: path, kind: .stream, mode: 0o600)
    try listen(socket: socket, path: path, identity: identity, removesFile: true)
  }

  /// Takes over a socket that listens already (socket activation) and whose file belongs to somebody else. `path` names it, for
  /// ``stopListening(path:)`` and in messages.
  public func listen(socket: consuming OwnedDescriptor, path: String, identity: Identity) throws(Errno) {
    try listen(socket: socket, path: path, identity: identity, removesFile: false)
  }

  private func listen(socket: consuming OwnedDescriptor, path: String, identity: Identity, removesFile: Bool) throws(Errno) {
    guard listeners[path] == nil else { throw .addressInUse }
    try socket.setNonBlocking(true)
    listeners[path] = StoreListener(server: self, socket: socket, path: path, identity: identity, removesFile: removesFile)
  }

  /// Closes the socket at `path` and its connections, and removes its file if ``listen(path:identity:)`` made it.
  public func stopListening(path: String) {
    guard let listener = listeners.removeValue(forKey: path) else { return }
    listener.close()
    for case let connection as SocketConnection in connections.elements where connection.listenerPath == path { close(connection) }
    flush()
  }

  /// Closes every socket and connection.
  public func close() {
    for path in Array(listeners.keys) { stopListening(path: path) }
    for connection in connections.elements { close(connection) }
    clockTimer?.cancel()
    if pace.loop != nil { loop.detach(pace) }
    journal?.close()
    journal = nil
  }

  /// Serves one connection that was made elsewhere, for example one end of a socket pair.
  public func serve(connection socket: consuming OwnedDescriptor, identity: Identity) throws(Errno) {
    try socket.setNonBlocking(true)
    add(socket, identity: identity, listenerPath: "")
  }

  /// Connections that are open now.
  public var connectionCount: Int { connections.count }

  // MARK: Domains

  /// Makes a domain known and tells those who watch for it.
  public func introduce(_ domain: DomainID) {
    core.advance(to: MonotonicClock.nowNanoseconds)
    core.introduce(domain)
    flush()
  }

  /// Forgets a domain that died, closes its connections and tells those who watch for it. Its listening socket is left to the caller.
  public func release(_ domain: DomainID) {
    core.advance(to: MonotonicClock.nowNanoseconds)
    core.release(domain)
    flush()
  }

  /// Sends what the core has for its connections.
  public func flush() {
    // Taking output lets held-back requests go on, which may concern others: they are ready then, too.
    while let id = core.takeReadyConnection() {
      if let link = connections[id] { pump(link) }
    }
    watchClock()
  }

  // MARK: Steps

  /// A client has connected to a listening socket.
  func accepted(_ socket: consuming OwnedDescriptor, identity: Identity, listenerPath: String) {
    guard socketCounts[listenerPath, default: 0] < XenStoreServer.connectionLimitPerListener else {
      logger.warning("store: too many connections on \(listenerPath); closing a new one")
      return
    }
    add(socket, identity: identity, listenerPath: listenerPath)
  }

  private func add(_ socket: consuming OwnedDescriptor, identity: Identity, listenerPath: String) {
    let label = XenStoreServer.label(of: socket)
    let id =
      switch identity {
      case .privileged: core.connect(domain: .control, privileged: true, label: label)
      case .domain(let domain): core.connect(domain: domain, privileged: domain == .control, label: label)
      }
    enter(SocketConnection(socket: socket, id: id, listenerPath: listenerPath, server: self))
  }

  /// Has a link served from now on.
  func enter(_ link: StoreLink) {
    connections.insert(link, for: link.id)
    count(link, sign: 1)
  }

  private func count(_ link: StoreLink, sign: Int) {
    guard let path = (link as? SocketConnection)?.listenerPath else { return }
    let count = socketCounts[path, default: 0] + sign
    socketCounts[path] = count == 0 ? nil : count
  }

  /// Who is at the other end of a socket, for the audit: `pid:4711,uid:0`, as the kernel says; empty when it does not.
  private static func label(of socket: borrowing OwnedDescriptor) -> String {
    do throws(Errno) {
      let peer = try UnixSocket.peerCredentials(of: socket)
      return "pid:\(peer.processID),uid:\(peer.userID)"
    } catch {
      return ""
    }
  }

  /// A link has put `count` bytes that its peer sent into ``inputBuffer``. Who is concerned is told at once, and runs while the next
  /// request is looked at.
  func received(_ count: Int, from link: StoreLink) {
    let now = MonotonicClock.nowNanoseconds
    core.advance(to: now)
    if core.receive(inputBuffer.value, count: count, from: link.id) { link.update(isHeldBack: true) }
    pace.served(now: now)
    flush()
  }

  /// Sees to it that a client that does not end its turn is not waited for, and that what nobody reads in time is dropped.
  private func watchClock() {
    guard let deadline = core.nextDeadline, clockTimer == nil || deadline < clockDeadline else { return }
    clockTimer?.cancel()
    let now = MonotonicClock.nowNanoseconds
    clockDeadline = deadline
    clockTimer = loop.schedule(afterNanoseconds: deadline > now ? deadline - now : 0) { [weak self] in
      guard let self else { return }
      clockTimer = nil
      core.advance(to: MonotonicClock.nowNanoseconds)
      flush()
    }
  }

  /// A link's peer has room again.
  func resume(_ link: StoreLink) {
    pump(link)
    flush()
  }

  /// A link's peer is gone.
  func ended(_ link: StoreLink) {
    close(link)
    flush()
  }

  /// Moves output from the core to the peer, as much as it takes.
  func pump(_ link: StoreLink) {
    guard link.deliver(from: core) != .failed else { return close(link) }
    // Taking output lets held-back requests go on, and one of them may have been the connection's last.
    switch core.standing(of: link.id) {
    case .inOrder: link.update(isHeldBack: false)
    case .heldBack: link.update(isHeldBack: true)
    case .faulty(let fault):
      if link.survives(fault) { return }
      logger.warning("store: closing \(link.id): \(fault)")
      close(link)
    }
  }

  /// Ends a link and its connection. Sends nothing.
  func close(_ link: StoreLink) {
    guard connections.remove(link.id) != nil else { return }
    count(link, sign: -1)
    link.close()
    core.disconnect(link.id)
  }
}
