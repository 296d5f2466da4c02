import SharedMemory
public import XenInterface
public import XenStoreWire

/// The store itself: requests in, replies and watch events out. No sockets, no clock, no threads.
///
/// Belongs to one thread (or one lock): nothing here may be called from two at a time.
/// ```swift
/// let client = core.connect(domain: .control, privileged: true)
/// core.receive(bytes, from: client)
/// for ready in core.takeReadyConnections() {
///   while let packet = core.nextOutput(for: ready) { send(packet, to: ready) }
///   if let fault = core.fault(of: ready) { close(ready, because: fault); core.disconnect(ready) }
/// }
/// ```
public final class XenStoreCore {
  /// What applies to every domain that has no value of its own; see ``setQuota(_:of:to:)``.
  public internal(set) var quotas: XenStoreQuotas

  /// Receives what privileged clients send with the control command `print`.
  public var onPrint: ((String) -> Void)?
  /// Receives what a quota refused: the first time, the tenth, the hundredth and so on for each quota of each domain.
  public var onRefusal: ((XenStoreRefusal) -> Void)?
  /// Receives a line for each request while the control command `log on` is in force.
  public var onTrace: ((String) -> Void)?
  /// Begins to serve the page of a domain that a privileged INTRODUCE names. Without it, and for references that Xen reserves, domains
  /// come over sockets.
  public var onIntroduceRing: ((DomainID, XenStoreRingAddress) throws(XenStoreError) -> Void)?
  /// Control commands besides the core's own, by name.
  public var controlCommands: [String: XenStoreControlCommand] = [:]
  /// Carries out the control command `live-update` with its arguments; nil when ``answerPostponed(_:)`` will give the reply. Without it
  /// there is no such command.
  public var onLiveUpdate: (([String]) -> String?)?

  // What each request touches is in cells: it would otherwise be checked for overlapping accesses, dozens of times.
  let treeCell: FixedCell<XenStoreTree>
  let followersCell = FixedCell(Followers())
  let connectionsCell = FixedCell(XenStoreConnectionTable<StoreConnection>())
  let watchesCell = FixedCell(WatchIndex())
  let journalCell = FixedCell(CommitJournal())
  let reservationsCell = FixedCell(CommitReservations())
  let usageCell = FixedCell(UsageTable())
  let quotaStateCell = FixedCell(QuotaState())
  let auditCell = FixedCell<XenStoreAudit?>(nil)
  private let readyCell = FixedCell(ReadyQueue())

  /// The generation of the live tree's last change: equal versions mean equal trees.
  var version: UInt64 = 1
  var lastGeneration: UInt64 = 1
  var lastSerial: UInt64 = 0

  /// What requests that would change something are answered with, while changes cannot be kept.
  public var changeRefusal: XenStoreError?
  /// Connections whose next packet is kept back until it cannot be lost.
  var waitingForDurability: [XenStoreConnectionID] = []
  /// Whether transactions that met a conflict take turns; the turns, and the time they are measured by.
  var isFair = false
  var now: UInt64 = 0
  /// Connections whose request waits for a turn to end, longest first.
  var heldConnections: [XenStoreConnectionID] = []
  /// A turn has ended since those were looked at.
  var needsWake = false
  var isWaking = false
  /// When an unread event may first have to be dropped; no later than that.
  var nextEventDeadline: UInt64?
  /// Features of domains that do not have all.
  var domainFeatures: [DomainID: XenStoreFeatures] = [:]
  var auditClock: () -> UInt64 = { 0 }
  var isTracing = false
  var introducedDomains: Set<DomainID> = [.control]
  /// Which domain's rights a stub domain has besides its own.
  var targets: [DomainID: DomainID] = [:]
  var specialPermissions: [String: [XenStorePermission]] = [
    XenStoreCore.introduceDomain: [XenStorePermission(.control, .none)],
    XenStoreCore.releaseDomain: [XenStorePermission(.control, .none)],
  ]

  public init(quotas: XenStoreQuotas = XenStoreQuotas()) {
    self.quotas = quotas
    treeCell = FixedCell(XenStoreTree(generation: 1))
  }

  // MARK: Connections

  /// Opens a connection that acts as `domain`. A privileged one passes every permission check and may use every request.
  /// `label` says who is at the other end, for the audit; blanks in it become `_`.
  public func connect(domain: DomainID, privileged: Bool, label: String = "") -> XenStoreConnectionID {
    let id = XenStoreConnectionID(number: nextSerial(), slot: connections.freeSlot())
    let connection = StoreConnection(id: id, domain: domain, isPrivileged: privileged, label: XenStoreAudit.label(label))
    connection.unreadReplyLimit = limit(.outstanding, of: domain)
    connections.insert(connection, for: id)
    return id
  }

  /// Ends a connection with its watches and transactions. Unknown connections are ignored, so that closing twice does no harm.
  public func disconnect(_ id: XenStoreConnectionID) {
    guard let connection = connections.remove(id) else { return }
    dropWatchesAndTransactions(of: connection)
    connection.output.removeAll()
    countQueue(of: connection)
    if needsWake { wakeHeldConnections() }
  }

  /// Why the connection has to be closed, or nil while it is in order.
  public func fault(of id: XenStoreConnectionID) -> XenStoreConnectionFault? { connections[id]?.fault }

  // MARK: Bytes in

  /// Takes bytes that arrived on a connection and handles the packets in them, as far as the connection reads its replies:
  /// the rest waits, and is handled as output is taken.
  public func receive(_ bytes: [UInt8], from id: XenStoreConnectionID) { _ = receive(bytes, count: bytes.count, from: id) }

  /// The same for the first `count` bytes of a buffer, which the caller may use again at once. True when requests of the connection wait,
  /// as ``isHeldBack(_:)`` says.
  public func receive(_ buffer: [UInt8], count: Int, from id: XenStoreConnectionID) -> Bool {
    guard let connection = connections[id], connection.fault == nil else { return false }
    var start = 0
    if connection.parser.isIdle {
      // Most of the time a request arrives as a whole: it is taken from where it lies.
      while maySend(connection), let packet = XenStorePacketParser.packet(at: &start, of: buffer, count: count) {
        take(packet, from: connection)
      }
    }
    if connection.fault == nil, start < count || connection.parser.bufferedByteCount > 0 {
      connection.parser.feed(buffer[start..<count])
      handleWaitingPackets(of: connection)
    }
    return isHeldBack(connection)
  }

  /// Whether requests of the connection wait for it to read its replies: its owner should read no more from it until output was taken.
  public func isHeldBack(_ id: XenStoreConnectionID) -> Bool {
    connections[id].map { isHeldBack($0) } ?? false
  }

  private func isHeldBack(_ connection: StoreConnection) -> Bool {
    connection.output.replyCount >= connection.unreadReplyLimit || connection.isWaiting
  }

  /// How a connection stands after output was taken from it.
  public enum Standing: Sendable {
    case inOrder
    /// As ``isHeldBack(_:)`` says.
    case heldBack
    /// Its owner must disconnect it.
    case faulty(XenStoreConnectionFault)
  }

  /// How the connection stands; one that is unknown is in order, for there is nothing to be done.
  public func standing(of id: XenStoreConnectionID) -> Standing {
    guard let connection = connections[id] else { return .inOrder }
    if let fault = connection.fault { return .faulty(fault) }
    return isHeldBack(connection) ? .heldBack : .inOrder
  }

  /// Handles one request. Its reply, and the events it caused, are output afterwards.
  public func handle(_ packet: XenStorePacket, from id: XenStoreConnectionID) {
    guard let connection = connections[id], connection.fault == nil else { return }
    handle(packet, from: connection)
  }

  // MARK: Bytes out

  /// The connections that got output or a fault since the last call.
  public func takeReadyConnections() -> [XenStoreConnectionID] {
    var taken: [XenStoreConnectionID] = []
    while let id = takeReadyConnection() { taken.append(id) }
    return taken
  }

  /// The next of them, in the order in which they got it; nil when there is none.
  public func takeReadyConnection() -> XenStoreConnectionID? {
    guard let id = readyCell.value.next() else { return nil }
    connections[id]?.isListedAsReady = false
    return id
  }

  /// Whether there is something to send, now or once commits are durable.
  public func hasOutput(for id: XenStoreConnectionID) -> Bool { connections[id]?.output.isEmpty == false }

  /// Takes the next packet to send, header and payload, or nil when there is none, or none whose commits are durable.
  ///
  /// Take only what can be sent now: an event that was not taken yet absorbs further identical ones.
  public func nextOutput(for id: XenStoreConnectionID) -> [UInt8]? {
    guard let connection = connections[id] else { return nil }
    return nextOutput(for: connection)
  }

  /// Appends packets as ``nextOutput(for:)`` gives them to `bytes`, as long as these are fewer than `limit`.
  public func takeOutput(for id: XenStoreConnectionID, into bytes: inout [UInt8], limit: Int) {
    guard let connection = connections[id] else { return }
    while bytes.count < limit, takeOutput(for: connection, into: &bytes) {}
  }

  private func nextOutput(for connection: StoreConnection) -> [UInt8]? {
    var bytes: [UInt8] = []
    return takeOutput(for: connection, into: &bytes) ? bytes : nil
  }

  /// Appends the next packet to `bytes`; false when there is none.
  private func takeOutput(for connection: StoreConnection, into bytes: inout [UInt8]) -> Bool {
    guard !isKeptBack(connection), connection.output.takeNext(into: &bytes) else { return false }
    if journal.isOn { connection.gate.removeFirst() }
    countQueue(of: connection)
    if connection.parser.bufferedByteCount > 0 { handleWaitingPackets(of: connection) }
    return true
  }

  // MARK: For the other parts of the core

  func nextGeneration() -> UInt64 {
    lastGeneration += 1
    return lastGeneration
  }

  func nextSerial() -> UInt64 {
    lastSerial += 1
    return lastSerial
  }

  /// A provisional reply does not wait for commits to be durable.
  func send(reply packet: XenStorePacket, to connection: StoreConnection, isProvisional: Bool = false) {
    connection.output.append(reply: packet)
    if !connection.isPrivileged { quotaState.peaks.note(.outstanding, connection.output.replyCount) }
    if journal.isOn {
      connection.gate.append(sequence: isProvisional ? 0 : journal.lastSequence)
      if isKeptBack(connection) { return }
    }
    markReady(connection)
  }

  func send(event watch: Watch, reporting path: [UInt8]) {
    let connection = watch.connection
    guard connection.fault == nil else { return }
    let isNew = connection.output.append(WaitingEvent(path: path, token: watch.token))
    if isNew, journal.isOn { connection.gate.append(sequence: journal.lastSequence) }
    countQueue(of: connection)
    if connection.output.eventByteCount > quotas.unreadEventByteCount {
      fail(connection, .eventsUnread(byteCount: connection.output.eventByteCount))
    }
    markReady(connection)
  }

  func fail(_ connection: StoreConnection, _ fault: XenStoreConnectionFault) {
    connection.fault = fault
    empty(connection)
    markReady(connection)
  }

  /// Drops requests, output, watches and transactions.
  func empty(_ connection: StoreConnection) {
    connection.postponed = nil
    connection.held = nil
    connection.output.removeAll()
    connection.gate = OutputGate()
    countQueue(of: connection)
    connection.parser = XenStorePacketParser()
    dropWatchesAndTransactions(of: connection)
  }

  func dropWatchesAndTransactions(of connection: StoreConnection) {
    for watch in connection.watches {
      watches.remove(watch)
      count(watch, sign: -1)
    }
    for transaction in connection.transactions.values { countEnd(of: transaction, of: connection) }
    connection.watches = []
    connection.transactions.removeAll()
    if !reservations.isEmpty, reservations.remove(connection.id) { needsWake = true }
  }

  func markReady(_ connection: StoreConnection) {
    guard !connection.isListedAsReady else { return }
    connection.isListedAsReady = true
    readyCell.value.append(connection.id)
  }

  /// Whether the connection's next request may be looked at.
  private func maySend(_ connection: StoreConnection) -> Bool {
    connection.fault == nil && !isHeldBack(connection)
  }

  /// Handles a packet, or keeps it, and with it those behind it, until it need not wait any more.
  private func take(_ packet: XenStorePacket, from connection: StoreConnection) {
    if mustWait(packet, from: connection) { return hold(packet, of: connection) }
    handle(packet, from: connection)
    if needsWake { wakeHeldConnections() }
  }

  func handleWaitingPackets(of connection: StoreConnection) {
    while maySend(connection) {
      switch connection.parser.next() {
      case .packet(let packet): take(packet, from: connection)
      case .needsMoreBytes: return
      case .violation(let byteCount): fail(connection, .payloadTooLong(byteCount: byteCount))
      }
    }
  }
}
