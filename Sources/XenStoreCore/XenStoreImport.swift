public import XenInterface
public import XenStoreMigration
import XenStoreWire

/// Makes a store of the records that ``XenStoreCore/export(to:links:)`` wrote, or another daemon. Feed it every record, then ``finish()``.
///
/// Nothing in a record is believed: what does not fit is a thrown fault, and then the whole must be thrown away.
public struct XenStoreImport {
  /// A connection of the imported store, for whoever owns its other end.
  public struct Connection: Sendable {
    public var id: XenStoreConnectionID
    public var domain: DomainID
    public var isPrivileged: Bool
    /// What to send before anything else that the core gives out.
    public var link: XenStoreMigratedLink
  }

  /// What is said of a connection before its own record.
  private struct Announcement {
    var number: UInt64
    var domain: DomainID
    var isPrivileged: Bool
    var unsentByteCount: Int
    var listenerPath: String
    var label: String
  }

  private struct TransactionKey: Hashable {
    var connection: UInt32
    var transaction: UInt32
  }

  private struct PendingTransaction {
    var base: XenStoreTree
    var working: XenStoreTree?
  }

  private let core: XenStoreCore
  private var announcements: [UInt32: Announcement] = [:]
  private var ringAddresses: [UInt32: XenStoreRingAddress] = [:]
  private var imported: [UInt32: (connection: StoreConnection, link: XenStoreMigratedLink)] = [:]
  private var generations: [TransactionKey: ArraySlice<UInt64>] = [:]
  private var pending: [TransactionKey: PendingTransaction] = [:]
  private var numbers: Set<UInt64> = []
  private var watchCount: UInt64 = 0
  private var refusals: [XenStoreRefusal] = []
  private var auditSequence: UInt64?
  private var auditEntries: [XenStoreAudit.Entry] = []

  public init() { core = XenStoreCore() }

  /// Takes a record that is about the store; false for any other.
  public mutating func take(_ record: MigrationRecord) throws(MigrationFault) -> Bool {
    var record = record
    switch record.type {
    case .storeState:
      core.lastGeneration = try record.integer("last generation")
      core.lastSerial = try record.integer("last serial")
      core.version = try record.integer("version")
      core.journal = CommitJournal(continuingAt: try record.integer("last commit"))
      core.isTracing = try record.flag("tracing")
      guard core.version <= core.lastGeneration, core.lastGeneration < .max / 2, core.lastSerial < .max / 2 else { throw record.fault("numbers") }
      try record.finish()
    case .globalQuotas: core.quotas.take(try MigrationGlobalQuotas(record))
    case .domain: try takeQuotas(try MigrationDomain(record), record)
    case .refusal: refusals.append(try refusal(&record))
    case .quotaPeaks: try takePeaks(&record)
    case .auditState:
      auditSequence = try record.integer("last entry")
      try record.finish()
    case .auditEntry: auditEntries.append(try auditEntry(&record))
    case .domainState: try takeDomain(&record)
    case .generations: try takeGenerations(&record)
    case .node: try takeNode(try MigrationNode(record), record)
    case .connectionState: try takeAnnouncement(&record)
    case .connectionRing: try takeRingAddress(&record)
    case .connection: try takeConnection(try MigrationConnection(record), record)
    case .connectionInput:
      let connection = try connection(try record.integer("connection"), record)
      connection.parser.feed(try record.counted("input"))
      try record.finish()
    case .updateRequest:
      let connection = try connection(try record.integer("connection"), record)
      connection.postponed = XenStorePacket(
        rawType: try record.integer("type"), requestID: try record.integer("request"), transactionID: try record.integer("transaction"), payload: [])
      try record.finish()
    case .watch, .extendedWatch: try takeWatch(try MigrationWatch(record), record)
    case .transaction:
      let transaction = try MigrationTransaction(record)
      let key = TransactionKey(connection: transaction.connection, transaction: transaction.transaction)
      let connection = try connection(transaction.connection, record)
      guard key.transaction != 0, pending[key] == nil, connection.transactions[key.transaction] == nil else { throw record.fault("tx-id") }
      pending[key] = PendingTransaction(base: core.tree)
    case .snapshotNode: try takeSnapshotNode(&record)
    case .transactionState: try takeTransaction(&record)
    default: return false
    }
    return true
  }

  /// The store, and its connections in the order of their age.
  public consuming func finish() throws(MigrationFault) -> (core: XenStoreCore, connections: [Connection]) {
    guard generations.values.allSatisfy(\.isEmpty) else { throw .inconsistent("generations without nodes") }
    // A transaction of a daemon that does not say what it began with cannot be checked for conflicts: its client has to try again.
    for (key, transaction) in pending {
      let foreign = StoreTransaction(id: key.transaction, tree: transaction.base, version: core.version)
      if let working = transaction.working { foreign.working = working }
      foreign.failure = .tryAgain
      add(foreign, to: imported[key.connection]!.connection)
    }
    core.lastSerial = max(core.lastSerial, UInt64(imported.count), watchCount)
    core.recountNodes()
    // Counting anew has passed warning levels anew.
    core.quotaState.refusals = RefusalTable()
    for refusal in refusals { core.quotaState.refusals.restore(refusal) }
    if let auditSequence {
      let first = auditSequence &- UInt64(auditEntries.count) &+ 1
      guard auditSequence >= UInt64(auditEntries.count), auditSequence < .max / 2,
        auditEntries.enumerated().allSatisfy({ $1.sequence == first + UInt64($0) })
      else { throw .inconsistent("the audit has gaps") }
      core.audit = XenStoreAudit(continuing: auditEntries, lastSequence: auditSequence)
    }
    let connections = imported.values.sorted { $0.connection.id.number < $1.connection.id.number }
    for (connection, _) in connections where !connection.output.isEmpty { core.markReady(connection) }
    return (
      core,
      connections.map {
        Connection(id: $0.connection.id, domain: $0.connection.domain, isPrivileged: $0.connection.isPrivileged, link: $0.link)
      }
    )
  }

  // MARK: Domains and nodes

  private func takeDomain(_ record: inout MigrationRecord) throws(MigrationFault) {
    let domain = try record.domain("domain")
    let target = try record.domain("target")
    if target != MigrationConnection.noDomain { core.targets[domain] = target }
    if try record.flag("introduced") { core.introducedDomains.insert(domain) }
    try record.finish()
  }

  private func takeQuotas(_ migrated: MigrationDomain, _ record: MigrationRecord) throws(MigrationFault) {
    for quota in migrated.quotas {
      if let known = XenStoreQuota(name: quota.name) { core.quotaState.overrides[migrated.domain, default: [:]][known] = Int(quota.value) }
    }
    let features = XenStoreFeatures(rawValue: migrated.features)
    // A domain must not be left without what it was promised.
    guard features.isSubset(of: XenStoreCore.supportedFeatures) else { throw record.fault("features") }
    if features != XenStoreCore.supportedFeatures { core.domainFeatures[migrated.domain] = features }
  }

  private func refusal(_ record: inout MigrationRecord) throws(MigrationFault) -> XenStoreRefusal {
    guard let quota = XenStoreQuota(name: try record.text("quota")) else { throw record.fault("quota") }
    let refusal = XenStoreRefusal(
      quota: quota, domain: try record.domain("domain"), limit: Int(try record.integer("limit", Int64.self)),
      value: Int(try record.integer("value", Int64.self)), count: try record.integer("count"))
    try record.finish()
    guard refusal.count < .max / 2 else { throw record.fault("count") }
    return refusal
  }

  private func takePeaks(_ record: inout MigrationRecord) throws(MigrationFault) {
    while record.remainingByteCount > 0 {
      let quota = XenStoreQuota(name: try record.text("quota"))
      let value = Int(try record.integer("value", Int64.self))
      if let quota { core.quotaState.peaks.note(quota, value) }
    }
  }

  private func auditEntry(_ record: inout MigrationRecord) throws(MigrationFault) -> XenStoreAudit.Entry {
    let sequence = try record.integer("number", UInt64.self)
    let time = try record.integer("time", UInt64.self)
    let domain = try record.domain("domain")
    let label = try record.text("label")
    let operation = try self.operation(&record)
    let path = try path(try record.counted("path"), record)
    try record.finish()
    return XenStoreAudit.Entry(
      sequence: sequence, unixMicroseconds: time, domain: domain, label: XenStoreAudit.label(label), operation: operation, path: path)
  }

  private func operation(_ record: inout MigrationRecord) throws(MigrationFault) -> XenStoreAudit.Operation {
    guard let operation = XenStoreAudit.Operation(rawValue: try record.text("operation")) else { throw record.fault("operation") }
    return operation
  }

  private mutating func takeGenerations(_ record: inout MigrationRecord) throws(MigrationFault) {
    let key = TransactionKey(connection: try record.integer("connection"), transaction: try record.integer("transaction"))
    guard record.remainingByteCount % 8 == 0, generations[key, default: []].isEmpty else { throw record.fault("generations") }
    var numbers: [UInt64] = []
    numbers.reserveCapacity(record.remainingByteCount / 8)
    while record.remainingByteCount > 0 {
      let number = try record.integer("generation", UInt64.self)
      guard number <= core.lastGeneration else { throw record.fault("generation") }
      numbers.append(number)
    }
    generations[key] = numbers[...]
  }

  private mutating func takeNode(_ node: MigrationNode, _ record: MigrationRecord) throws(MigrationFault) {
    if node.connection == 0, node.path.first == UInt8(ascii: "@") {
      guard !node.permissions.isEmpty else { throw record.fault("perm-count") }
      core.specialPermissions[String(decoding: node.path, as: UTF8.self)] = node.permissions
      return
    }
    let path = try path(node.path[...], record)
    let key = TransactionKey(connection: node.connection, transaction: node.connection == 0 ? 0 : node.transaction)
    // Another daemon's nodes have no generations: all are as old as the store.
    let generation = generations[key]?.popFirst() ?? core.lastGeneration
    if node.connection == 0 {
      guard !node.permissions.isEmpty else { throw record.fault("perm-count") }
      guard core.tree.put(value: node.value, permissions: node.permissions, generation: generation, at: path) else {
        throw record.fault("path")
      }
      return
    }
    guard let transaction = pending[key] else { throw record.fault("tx-id") }
    var working = transaction.working ?? transaction.base
    try change(&working, path, exists: !node.permissions.isEmpty, node.value, node.permissions, generation, record)
    pending[key]!.working = working
  }

  private mutating func takeSnapshotNode(_ record: inout MigrationRecord) throws(MigrationFault) {
    let key = TransactionKey(connection: try record.integer("connection"), transaction: try record.integer("transaction"))
    let exists = try record.flag("exists")
    let generation = try record.integer("generation", UInt64.self)
    let path = try path(try record.counted("path"), record)
    let value = Array(try record.counted("value"))
    var permissions: [XenStorePermission] = []
    for _ in 0..<(try record.integer("permissions", UInt16.self)) { permissions.append(try record.permission()) }
    try record.finish()
    guard var base = pending[key]?.base, pending[key]?.working == nil else { throw record.fault("transaction") }
    guard exists == !permissions.isEmpty, generation <= core.lastGeneration else { throw record.fault("permissions") }
    try change(&base, path, exists: exists, value, permissions, generation, record)
    pending[key]!.base = base
  }

  private func change(
    _ tree: inout XenStoreTree, _ path: XenStorePath, exists: Bool, _ value: [UInt8], _ permissions: [XenStorePermission], _ generation: UInt64,
    _ record: MigrationRecord
  ) throws(MigrationFault) {
    if !exists {
      guard !path.isRoot else { throw record.fault("path") }
      tree.takeOut(at: path)
    } else if !tree.put(value: value, permissions: permissions, generation: generation, at: path) {
      throw record.fault("path")
    }
  }

  private func path(_ bytes: ArraySlice<UInt8>, _ record: MigrationRecord) throws(MigrationFault) -> XenStorePath {
    guard bytes.first == UInt8(ascii: "/") else { throw record.fault("path") }
    do throws(XenStoreError) { return try XenStorePath(bytes, relativeTo: .control) } catch { throw record.fault("path") }
  }

  // MARK: Connections

  private mutating func takeAnnouncement(_ record: inout MigrationRecord) throws(MigrationFault) {
    let id = try record.integer("connection", UInt32.self)
    let announcement = Announcement(
      number: try record.integer("number"), domain: try record.domain("domain"), isPrivileged: try record.flag("privileged"),
      unsentByteCount: Int(try record.integer("unsent bytes", UInt32.self)), listenerPath: try record.text("listener"),
      label: try record.text("label"))
    try record.finish()
    guard announcements[id] == nil, announcement.number <= core.lastSerial else { throw record.fault("connection") }
    announcements[id] = announcement
  }

  private mutating func takeRingAddress(_ record: inout MigrationRecord) throws(MigrationFault) {
    let id = try record.integer("connection", UInt32.self)
    let address = XenStoreRingAddress(
      reference: GrantReference(rawValue: try record.integer("reference")), port: EventChannelPort(rawValue: try record.integer("port")))
    try record.finish()
    guard ringAddresses.updateValue(address, forKey: id) == nil, imported[id] == nil else { throw record.fault("connection") }
  }

  private mutating func takeConnection(_ migrated: MigrationConnection, _ record: MigrationRecord) throws(MigrationFault) {
    guard imported[migrated.id] == nil else { throw record.fault("conn-id") }
    let announcement = announcements.removeValue(forKey: migrated.id) ?? foreignAnnouncement(of: migrated)
    guard announcement.unsentByteCount <= migrated.output.count else { throw record.fault("out-data-len") }
    guard numbers.insert(announcement.number).inserted else { throw record.fault("number") }

    let id = XenStoreConnectionID(number: announcement.number, slot: core.connections.freeSlot())
    let connection = StoreConnection(
      id: id, domain: announcement.domain, isPrivileged: announcement.isPrivileged, label: XenStoreAudit.label(announcement.label))
    connection.unreadReplyLimit = core.limit(.outstanding, of: connection.domain)
    connection.parser.feed(migrated.input)
    var packets = XenStorePacketParser()
    packets.feed(migrated.output.dropFirst(announcement.unsentByteCount))
    loop: while true {
      switch packets.next() {
      case .packet(let packet) where packet.type == .watchEvent:
        guard let event = WaitingEvent(packet) else { throw record.fault("data") }
        let isNew = connection.output.append(event)
        if isNew, !connection.isPrivileged { core.noteEvent(for: connection) }
      case .packet(let packet): connection.output.append(reply: packet)
      case .needsMoreBytes: break loop
      case .violation: throw record.fault("data")
      }
    }
    guard packets.unparsedBytes.isEmpty else { throw record.fault("data") }
    core.connections.insert(connection, for: id)
    if !connection.isPrivileged { core.settleQueue(of: connection) }
    let link = XenStoreMigratedLink(
      kind: migrated.kind, unsentBytes: Array(migrated.output.prefix(announcement.unsentByteCount)), listenerPath: announcement.listenerPath,
      ring: ringAddresses.removeValue(forKey: migrated.id))
    imported[migrated.id] = (connection, link)
  }

  /// What another daemon's connection is: a socket is the control domain's.
  private func foreignAnnouncement(of migrated: MigrationConnection) -> Announcement {
    let domain: DomainID
    switch migrated.kind {
    case .ring(let owner, _, _): domain = owner
    case .socket: domain = .control
    }
    return Announcement(
      number: (numbers.max() ?? 0) + 1, domain: domain, isPrivileged: domain == .control, unsentByteCount: Int(migrated.partialOutputByteCount), listenerPath: "",
      label: "")
  }

  private func connection(_ id: UInt32, _ record: MigrationRecord) throws(MigrationFault) -> StoreConnection {
    guard let connection = imported[id]?.connection else { throw record.fault("conn-id") }
    return connection
  }

  private mutating func takeWatch(_ migrated: MigrationWatch, _ record: MigrationRecord) throws(MigrationFault) {
    let connection = try connection(migrated.connection, record)
    let target: WatchTarget
    var isRelative = false
    if migrated.path.first == UInt8(ascii: "@") {
      target = .special(String(decoding: migrated.path, as: UTF8.self))
    } else {
      do throws(XenStoreError) {
        target = .node(try XenStorePath(migrated.path[...], relativeTo: connection.domain))
      } catch {
        throw record.fault("wpath")
      }
      isRelative = migrated.path.first != UInt8(ascii: "/")
    }
    guard migrated.token.count <= XenStoreProtocol.maximumTokenByteCount else { throw record.fault("token") }
    // Their order is their age; the numbers themselves mean nothing.
    watchCount += 1
    let watch = Watch(
      connection: connection, target: target, givenPath: migrated.path, isRelative: isRelative, token: migrated.token,
      depth: migrated.depth.map(UInt32.init), serial: watchCount)
    connection.watches.append(watch)
    core.watches.insert(watch)
    core.count(watch, sign: 1)
  }

  // MARK: Transactions

  private mutating func takeTransaction(_ record: inout MigrationRecord) throws(MigrationFault) {
    let key = TransactionKey(connection: try record.integer("connection"), transaction: try record.integer("transaction"))
    guard let trees = pending.removeValue(forKey: key) else { throw record.fault("transaction") }
    let baseVersion = try record.integer("version", UInt64.self)
    guard baseVersion <= core.version else { throw record.fault("version") }
    let transaction = StoreTransaction(id: key.transaction, tree: trees.base, version: baseVersion)
    if let working = trees.working { transaction.working = working }
    let failure = try record.text("failure")
    if !failure.isEmpty {
      guard let error = XenStoreError(rawValue: failure) else { throw record.fault("failure") }
      transaction.failure = error
    }
    for _ in 0..<(try record.integer("accessed", UInt32.self)) { transaction.noteAccess(try path(try record.counted("path"), record)) }
    for _ in 0..<(try record.integer("changes", UInt32.self)) {
      let path = try path(try record.counted("path"), record)
      guard let report = StoreTransaction.Report(migrated: try record.integer("report")) else { throw record.fault("report") }
      transaction.noteChange(path, report)
      transaction.namedDomains.formUnion(transaction.working.node(at: path)?.permissions.map(\.domain) ?? [])
    }
    transaction.countedByteCount = try count(&record, "counted bytes")
    for _ in 0..<(try record.integer("written", UInt32.self)) {
      let path = try path(try record.counted("path"), record)
      transaction.noteWritten(path, byteCount: try count(&record, "bytes"))
    }
    for _ in 0..<(try record.integer("charges", UInt32.self)) {
      let domain = try record.domain("domain")
      transaction.charges[domain] = NodeCharge(nodeCount: try count(&record, "nodes"), byteCount: try count(&record, "bytes"))
    }
    for _ in 0..<(try record.integer("audited", UInt32.self)) {
      let operation = try operation(&record)
      transaction.noteAudit(operation, try path(try record.counted("path"), record))
    }
    try record.finish()
    transaction.dropUnusedSnapshot(version: core.version)
    add(transaction, to: try connection(key.connection, record))
  }

  /// A number that sums of many such numbers have room for.
  private func count(_ record: inout MigrationRecord, _ field: String) throws(MigrationFault) -> Int {
    let number = try record.integer(field, Int64.self)
    guard number.magnitude < 1 << 40 else { throw record.fault(field) }
    return Int(number)
  }

  private func add(_ transaction: StoreTransaction, to connection: StoreConnection) {
    connection.transactions.insert(transaction)
    core.update(connection.domain) {
      $0.transactionCount += 1
      $0.transactionByteCount += transaction.countedByteCount
    }
  }
}
