import XenInterface
public import XenStoreMigration
import XenStoreWire

/// What the owner of a connection knows of it, and whoever goes on with it has to know.
public struct XenStoreMigratedLink: Hashable, Sendable {
  public var kind: MigrationConnection.Kind
  /// Output that was taken from the core and not sent yet; its first byte may be in the middle of a packet. At most 65535 bytes.
  public var unsentBytes: [UInt8]
  /// The listening socket that the connection came through; empty for none.
  public var listenerPath: String
  /// Where a domain's page is found again; nil for a socket.
  public var ring: XenStoreRingAddress?

  public init(
    kind: MigrationConnection.Kind, unsentBytes: [UInt8] = [], listenerPath: String = "", ring: XenStoreRingAddress? = nil
  ) {
    self.ring = ring
    self.kind = kind
    self.unsentBytes = unsentBytes
    self.listenerPath = listenerPath
  }
}

extension XenStoreCore {
  /// Writes everything that the store knows: its nodes with their generations, domains, and of the connections in `links` what they
  /// are about to receive and send, their watches and transactions. The store goes on as before.
  ///
  /// Connections that have a fault, or no link, are left out. Commits that are not durable yet must be waited for before.
  public func export(to stream: inout MigrationStreamWriter, links: [XenStoreConnectionID: XenStoreMigratedLink]) {
    let transactions = connections.elements.flatMap(\.transactions.values)
    for transaction in transactions { takeSnapshot(for: transaction) }
    defer { for transaction in transactions { transaction.dropUnusedSnapshot(version: version) } }
    stream.append(.storeState) { body in
      for number in [lastGeneration, lastSerial, version, lastCommitSequence] { body.put(number) }
      body.put(isTracing)
    }
    exportQuotas(to: &stream)
    exportAudit(to: &stream)
    for domain in introducedDomains.union(targets.keys).sorted() { exportDomain(domain, to: &stream) }
    for (name, permissions) in specialPermissions.sorted(by: { $0.key < $1.key }) {
      MigrationNode(path: Array(name.utf8), value: [], permissions: permissions).append(to: &stream)
    }
    exportTree(to: &stream)

    let going = links.keys.compactMap { connections[$0] }.filter { $0.fault == nil }.sorted { $0.id.number < $1.id.number }
    var numbers: [XenStoreConnectionID: UInt32] = [:]
    for (index, connection) in going.enumerated() {
      numbers[connection.id] = UInt32(index + 1)
      export(connection, as: UInt32(index + 1), links[connection.id]!, to: &stream)
    }
    for watch in going.flatMap(\.watches).sorted(by: { $0.serial < $1.serial }) {
      watch.migrated(connection: numbers[watch.connection.id]!).append(to: &stream)
    }
    for connection in going {
      for transaction in connection.transactions.values.sorted(by: { $0.id < $1.id }) {
        export(transaction, of: numbers[connection.id]!, to: &stream)
      }
    }
  }

  private func exportDomain(_ domain: DomainID, to stream: inout MigrationStreamWriter) {
    stream.append(.domainState) { body in
      body.put(domain)
      body.put(targets[domain] ?? MigrationConnection.noDomain)
      body.put(introducedDomains.contains(domain))
    }
  }

  private func exportQuotas(to stream: inout MigrationStreamWriter) {
    quotas.migrated.append(to: &stream)
    for domain in Set(quotaState.overrides.keys).union(domainFeatures.keys).sorted() {
      let overrides = (quotaState.overrides[domain] ?? [:]).sorted { $0.key < $1.key }
      MigrationDomain(
        domain: domain, features: features(of: domain).rawValue,
        quotas: overrides.map { MigrationQuota($0.key.rawValue, UInt32(clamping: $0.value)) }
      ).append(to: &stream)
    }
    for refusal in refusals {
      stream.append(.refusal) { body in
        body.put(refusal.quota.rawValue)
        body.put(refusal.domain)
        body.put(Int64(refusal.limit))
        body.put(Int64(refusal.value))
        body.put(refusal.count)
      }
    }
    exportPeaks(to: &stream)
  }

  private func exportPeaks(to stream: inout MigrationStreamWriter) {
    stream.append(.quotaPeaks) { body in
      for quota in XenStoreQuota.allCases {
        body.put(quota.rawValue)
        body.put(Int64(quotaState.peaks[quota]))
      }
    }
  }

  private func exportAudit(to stream: inout MigrationStreamWriter) {
    guard let audit else { return }
    stream.append(.auditState) { $0.put(audit.lastSequence) }
    for entry in audit.entries(after: 0) {
      stream.append(.auditEntry) { body in
        body.put(entry.sequence)
        body.put(entry.unixMicroseconds)
        body.put(entry.domain)
        body.put(entry.label)
        body.put(entry.operation.rawValue)
        body.put(counted: entry.path.bytes)
      }
    }
  }

  private func exportTree(to stream: inout MigrationStreamWriter) {
    var generations: [UInt64] = []
    tree.forEachNode(from: .root) { _, node in
      generations.append(node.generation)
      return true
    }
    stream.appendGenerations(generations)
    tree.forEachNode(from: .root) { path, node in
      MigrationNode(path: path.bytes, value: node.value, permissions: node.permissions).append(to: &stream)
      return true
    }
  }

  private func export(
    _ connection: StoreConnection, as number: UInt32, _ link: XenStoreMigratedLink, to stream: inout MigrationStreamWriter
  ) {
    stream.append(.connectionState) { body in
      body.put(number)
      body.put(connection.id.number)
      body.put(connection.domain)
      body.put(connection.isPrivileged)
      body.put(UInt32(link.unsentBytes.count))
      body.put(link.listenerPath)
      body.put(connection.label)
    }
    if let ring = link.ring {
      stream.append(.connectionRing) { body in
        for field in [number, ring.reference.rawValue, ring.port.rawValue] { body.put(field) }
      }
    }
    defer {
      if let postponed = connection.postponed {
        stream.append(.updateRequest) { body in
          for field in [number, postponed.rawType, postponed.requestID, postponed.transactionID] { body.put(field) }
        }
      }
    }
    // A request that waits for another's turn is one that has not been looked at yet: turns end with the process.
    let input = (connection.held?.encoded ?? []) + connection.parser.unparsedBytes
    let record = MigrationConnection(
      id: number, kind: link.kind, input: Array(input.prefix(Int(UInt16.max))), partialOutputByteCount: UInt16(link.unsentBytes.count),
      output: link.unsentBytes + connection.output.packets.joined())
    record.append(to: &stream)
    guard input.count > Int(UInt16.max) else { return }
    stream.append(.connectionInput) { body in
      body.put(number)
      body.put(counted: input.dropFirst(Int(UInt16.max)))
    }
  }

  /// The tree that the transaction began with is written as what is different from the live one, and the one that it made as what is
  /// different from that: both share the rest.
  private func export(_ transaction: StoreTransaction, of number: UInt32, to stream: inout MigrationStreamWriter) {
    MigrationTransaction(connection: number, transaction: transaction.id).append(to: &stream)
    for path in transaction.base.differences(from: tree) {
      let node = transaction.base.node(at: path)
      stream.append(.snapshotNode) { body in
        body.put(number)
        body.put(transaction.id)
        body.put(node != nil)
        body.put(node?.generation ?? 0)
        body.put(counted: path.bytes)
        body.put(counted: node?.value ?? [])
        body.put(UInt16(node?.permissions.count ?? 0))
        for permission in node?.permissions ?? [] { body.put(permission) }
      }
    }

    let accessed = Set(transaction.accessed.all)
    let changes = Set(transaction.changes)
    let paths = accessed.union(transaction.working.differences(from: transaction.base)).sorted()
    stream.appendGenerations(
      paths.map { transaction.working.node(at: $0)?.generation ?? 0 }, connection: number, transaction: transaction.id)
    for path in paths {
      let node = transaction.working.node(at: path)
      var access: MigrationNode.Access = []
      if node != nil, accessed.contains(path) { access.insert(.read) }
      if node != nil, changes.contains(path) { access.insert(.written) }
      MigrationNode(
        path: path.bytes, value: node?.value ?? [], permissions: node?.permissions ?? [], connection: number, transaction: transaction.id,
        access: access
      ).append(to: &stream)
    }

    stream.append(.transactionState) { body in
      body.put(number)
      body.put(transaction.id)
      body.put(transaction.baseVersion)
      body.put(transaction.failure?.errnoName ?? "")
      body.put(UInt32(accessed.count))
      for path in accessed.sorted() { body.put(counted: path.bytes) }
      body.put(UInt32(transaction.changes.count))
      for path in transaction.changes {
        body.put(counted: path.bytes)
        body.put(transaction.report(of: path).migrated)
      }
      body.put(Int64(transaction.countedByteCount))
      body.put(UInt32(transaction.written.count))
      for (path, byteCount) in transaction.written.sorted(by: { $0.key < $1.key }) {
        body.put(counted: path.bytes)
        body.put(Int64(byteCount))
      }
      body.put(UInt32(transaction.charges.count))
      for (domain, charge) in transaction.charges.sorted(by: { $0.key < $1.key }) {
        body.put(domain)
        body.put(Int64(charge.nodeCount))
        body.put(Int64(charge.byteCount))
      }
      body.put(UInt32(transaction.audited.count))
      for change in transaction.audited.all {
        body.put(change.operation.rawValue)
        body.put(counted: change.path.bytes)
      }
    }
  }
}

extension MigrationStreamWriter {
  fileprivate mutating func appendGenerations(_ generations: [UInt64], connection: UInt32 = 0, transaction: UInt32 = 0) {
    append(.generations) { body in
      body.put(connection)
      body.put(transaction)
      for generation in generations { body.put(generation) }
    }
  }
}

extension Watch {
  /// No path is so deep that a depth that does not fit would make a difference.
  fileprivate func migrated(connection: UInt32) -> MigrationWatch {
    MigrationWatch(connection: connection, path: givenPath, token: token, depth: depth.map { UInt16(clamping: min($0, 0xFFFE)) })
  }
}

extension StoreTransaction.Report {
  /// Its number in a transaction's record.
  var migrated: UInt8 {
    switch self {
    case .silent: 0
    case .changed: 1
    case .removedWithAncestor: 2
    }
  }

  init?(migrated number: UInt8) {
    switch number {
    case 0: self = .silent
    case 1: self = .changed
    case 2: self = .removedWithAncestor
    default: return nil
    }
  }
}
