import BrokerWire
public import EventLoop
import LinuxSystem
public import Logging
import SystemPackage
public import XenInterface
public import XenPlatform

/// The broker with its sockets: `broker.sock` of the run directory, where clients act as domain 0, and
/// `domains/N/broker.sock`, where they act as domain N. Who may open a socket is who may act as its domain.
///
/// Part of `pvio daemon`. Everything runs on the loop's thread, and every call must come from there.
public final class BrokerServer: @unchecked Sendable {
  // SAFETY of @unchecked: everything is touched on the loop's thread only (checked where calls come in).

  /// Called when a domain is made, before anybody hears of it: the store introduces it here. Throwing undoes the domain.
  /// Must not call the server.
  public var onDomainCreated: ((DomainID, String) throws(PlatformError) -> Void)?
  /// Called when a domain is gone and its processes are disconnected. Must not call the server.
  public var onDomainDestroyed: ((DomainID) -> Void)?

  /// Called when a process offers a page for the store: which domain it acts for, the grant reference and the port. Throwing refuses it.
  public var onStoreOffered: ((DomainID, GrantReference, EventChannelPort) throws(PlatformError) -> Void)?

  let loop: EventLoop
  private let directory: RunDirectory
  let logger: Logger
  private let outgoingLimit: Int
  private let signaller: CounterSignaller
  var state: BrokerState!
  var listeners: [DomainID: BrokerListener] = [:]
  var connections: [HolderID: BrokerConnection] = [:]
  /// Ends of event channels that the daemon itself holds.
  var ownChannels: [EventChannelPort: OwnChannel] = [:]
  var disposals: [DomainID: DescriptorDisposal] = [:]

  public init(loop: EventLoop, runDirectory: String, limits: BrokerLimits = BrokerLimits(), logger: Logger) {
    self.loop = loop
    self.directory = RunDirectory(path: runDirectory)
    self.logger = logger
    self.outgoingLimit = limits.outgoingMessages
    self.signaller = CounterSignaller(loop: loop)
    self.state = BrokerState(
      limits: limits,
      hooks: BrokerState.DomainHooks(
        open: { [unowned self] domain, name throws(PlatformError) in try openDomain(domain, name) },
        close: { [unowned self] domain in closeDomain(domain) }))
  }

  /// Listens for domain 0. The run directory must exist.
  public func start() throws(PlatformError) {
    precondition(loop.isCurrent, "called from another thread than the loop's")
    // Every arena and every event channel of every domain costs the broker descriptors.
    do { try ProcessLimits.raiseOpenFileLimit() } catch { throw .system(operation: "raise the limit of open files", error) }
    try directory.prepare()
    listeners[.control] = try listen(for: .control)
  }

  /// Closes every socket and forgets every domain but domain 0.
  public func stop() {
    precondition(loop.isCurrent, "called from another thread than the loop's")
    for domain in state.domains.keys.sorted() where domain != .control {
      do { apply(try state.destroyDomain(domain)) } catch { logger.error("\(error)") }
    }
    for holder in connections.keys.sorted(by: { $0.rawValue < $1.rawValue }) { apply(state.drop(holder, reason: "the daemon stops")) }
    listeners.removeValue(forKey: .control)?.close()
    directory.removeSocket(of: .control)
  }

  /// Makes a domain and its socket; without a number the broker picks one.
  public func createDomain(_ domain: DomainID? = nil, name: String) throws(PlatformError) -> DomainID {
    precondition(loop.isCurrent, "called from another thread than the loop's")
    return try state.createDomain(domain, name: name)
  }

  public func destroyDomain(_ domain: DomainID) throws(PlatformError) {
    precondition(loop.isCurrent, "called from another thread than the loop's")
    apply(try state.destroyDomain(domain))
  }

  /// What is in use now: to show, and to find leaks in tests.
  public var usage: BrokerState.Usage { state.usage }

  // MARK: - Domains

  private func openDomain(_ domain: DomainID, _ name: String) throws(PlatformError) {
    try directory.makeDirectory(of: domain)
    do throws(PlatformError) {
      listeners[domain] = try listen(for: domain)
      try onDomainCreated?(domain, name)
    } catch {
      listeners.removeValue(forKey: domain)?.close()
      directory.removeDirectory(of: domain)
      throw error
    }
    logger.info("domain created", metadata: ["domain": "\(domain)", "name": "\(name)"])
  }

  private func closeDomain(_ domain: DomainID) {
    listeners.removeValue(forKey: domain)?.close()
    if disposals[domain]?.isClogged == false { disposals[domain] = nil }
    onDomainDestroyed?(domain)
    directory.removeDirectory(of: domain)
    logger.info("domain destroyed", metadata: ["domain": "\(domain)"])
  }

  private func listen(for domain: DomainID) throws(PlatformError) -> BrokerListener {
    try BrokerListener(path: directory.socketPath(of: domain), loop: loop, logger: logger) { [unowned self] in accepted($0, as: domain) }
  }

  // MARK: - Connections

  private func accepted(_ socket: consuming OwnedDescriptor, as domain: DomainID) {
    let disposal = disposal(of: domain)
    guard !disposal.isClogged else {
      logger.warning("connection refused", metadata: ["domain": "\(domain)", "reason": "files that it sent cannot be closed"])
      return
    }
    do {
      let credentials = try UnixSocket.peerCredentials(of: socket)
      try UnixSocket.setSendBuffer(byteCount: BrokerConnection.sendBufferByteCount, of: socket)
      let holder = try state.connect(as: domain, credentials: credentials)
      serve(socket, holder, disposal)
      logger.debug(
        "process connected",
        metadata: ["domain": "\(domain)", "connection": "\(holder)", "pid": "\(credentials.processID)", "uid": "\(credentials.userID)"])
    } catch {
      logger.warning("connection refused", metadata: ["domain": "\(domain)", "reason": "\(error)"])
    }
  }

  private func disposal(of domain: DomainID) -> DescriptorDisposal {
    let disposal = disposals[domain] ?? DescriptorDisposal(label: "pvio-disposal-\(domain)")
    disposals[domain] = disposal
    return disposal
  }

  private func serve(
    _ socket: consuming OwnedDescriptor, _ holder: HolderID, _ disposal: DescriptorDisposal,
    outgoing: [(bytes: [UInt8], descriptors: [SharedDescriptor])] = []
  ) {
    connections[holder] = BrokerConnection(
      socket: socket, loop: loop, disposal: disposal, outgoing: outgoing,
      onMessage: { [unowned self] bytes, descriptors in apply(state.handle(bytes, descriptors: descriptors, from: holder)) },
      onEnd: { [unowned self] reason in apply(state.drop(holder, reason: reason)) })
  }

  // MARK: - Going on

  /// Goes on where the broker that wrote `handedOver` stopped, instead of ``start()``: takes over its sockets, arenas and channels.
  /// No hook is called for the domains that are there already.
  public func resume(_ handedOver: BrokerImport) throws(PlatformError) {
    precondition(loop.isCurrent, "called from another thread than the loop's")
    do { try ProcessLimits.raiseOpenFileLimit() } catch { throw .system(operation: "raise the limit of open files", error) }
    do throws(Errno) {
      var descriptors = InheritedDescriptors()
      try state.restore(handedOver, &descriptors)
      for domain in handedOver.domains {
        listeners[domain.domain] = BrokerListener(
          socket: try OwnedDescriptor(inherited: domain.listener), loop: loop, logger: logger
        ) { [unowned self] in accepted($0, as: domain.domain) }
      }
      for connection in handedOver.connections {
        var outgoing: [(bytes: [UInt8], descriptors: [SharedDescriptor])] = []
        for message in connection.outgoing {
          var attached: [SharedDescriptor] = []
          for number in message.descriptors { attached.append(try descriptors.take(number)) }
          outgoing.append((message.bytes, attached))
        }
        serve(try OwnedDescriptor(inherited: connection.socket), connection.holder, disposal(of: connection.domain), outgoing: outgoing)
      }
    } catch {
      throw .system(operation: "take over the broker's files", error)
    }
  }

  /// Carries effects out in order; a client that turns out to be gone or stuck adds effects of its own at the end.
  func apply(_ effects: [BrokerState.Effect]) {
    var effects = effects
    var index = 0
    while index < effects.count {
      switch effects[index] {
      case .signal(let counter):
        signaller.signal(counter)
      case .send(let holder, let message, let requestID, let descriptors):
        if holder == BrokerState.ownHolder { tellOwnChannel(message) }
        guard let connection = connections[holder] else { break }
        if connection.outgoingCount >= outgoingLimit {
          effects += state.drop(holder, reason: "it does not read: \(outgoingLimit) messages are waiting for it")
        } else if let failure = connection.send(message.encoded(requestID: requestID), descriptors) {
          effects += state.drop(holder, reason: failure.description)
        }
      case .connectStore(let holder, let domain, let reference, let port, let requestID):
        effects.append(.send(holder, offerStore(domain, reference, port), requestID: requestID, descriptors: []))
      case .close(let holder, let reason):
        guard let connection = connections.removeValue(forKey: holder) else { break }
        connection.close()
        logger.debug("process disconnected", metadata: ["connection": "\(holder)", "reason": "\(reason)"])
      }
      index += 1
    }
  }
}
