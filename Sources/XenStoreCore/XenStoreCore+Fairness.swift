import XenInterface
import XenStoreWire

extension XenStoreCore {
  // MARK: For the owner of a clock

  /// Tells the core what time it is, in nanoseconds of any clock that does not go back. From the first call on, transactions that met a
  /// conflict take turns, and events that a guest does not read in time are dropped; without a clock nobody could end a turn, so that they
  /// only compete. What is called next happens at that time.
  public func advance(to now: UInt64) {
    self.now = max(self.now, now)
    if !isFair {
      isFair = true
      restartEventAges()
    }
    dropLateEvents()
    if reservations.expire(now: self.now) { needsWake = true }
    if needsWake { wakeHeldConnections() }
  }

  /// When ``advance(to:)`` is to be called next: requests wait for a turn that may run out, or events for a guest that may not read them.
  public var nextDeadline: UInt64? {
    let turnEnd = heldConnections.isEmpty ? nil : reservations.nextDeadline
    guard let turnEnd, let nextEventDeadline else { return turnEnd ?? nextEventDeadline }
    return min(turnEnd, nextEventDeadline)
  }

  // MARK: For the other parts of the core

  /// Whether a request has to wait until another connection's turn is over.
  func mustWait(_ packet: XenStorePacket, from connection: StoreConnection) -> Bool {
    guard !reservations.isEmpty, let type = packet.type else { return false }
    switch type {
    case .transactionStart:
      return reservations.delaysStart(of: connection.id)
    case .transactionEnd:
      guard reservations.activeCount > 0, packet.payload.first == UInt8(ascii: "T"),
        let transaction = connection.transactions[packet.transactionID], !hasConflict(transaction)
      else { return false }
      return reservations.isReserved(fromAllBut: connection.id) { paths in transaction.changes.contains { paths.contains($0) } }
    case .write, .makeDirectory, .setPermissions, .remove:
      guard reservations.activeCount > 0, packet.transactionID == 0 else { return false }
      return reservations.isReserved(fromAllBut: connection.id) { paths in changes(packet, from: connection, anyOf: paths) }
    default: return false
    }
  }

  /// Keeps a request until it need not wait any more; those behind it stay where they are.
  func hold(_ packet: XenStorePacket, of connection: StoreConnection) {
    connection.held = packet
    heldConnections.append(connection.id)
  }

  /// A transaction has met a conflict: its connection gets the next turn on what it looked at, as far as it may change that. Who may not
  /// change a node must not keep others from it.
  func fileReservation(after transaction: StoreTransaction, of connection: StoreConnection) {
    guard isFair, transaction.accessed.count <= CommitReservations.pathLimit else { return }
    var paths = Set(transaction.accessed.all)
    if !connection.isPrivileged {
      paths = paths.filter { isAllowed(connection, .write, by: tree.nearestNode(to: $0).node.permissions) }
    }
    let holder: CommitReservations.Holder = connection.isPrivileged ? .connection(connection.id) : .domain(connection.domain)
    reservations.file(paths, owner: connection.id, holder: holder, now: now)
  }

  /// Handles the requests that need not wait any more, first come, first served.
  func wakeHeldConnections() {
    guard !isWaking else { return }
    isWaking = true
    defer { isWaking = false }
    repeat {
      needsWake = false
      let held = heldConnections
      heldConnections = []
      var stillHeld: [XenStoreConnectionID] = []
      for id in held {
        guard let connection = connections[id], let packet = connection.held else { continue }
        if mustWait(packet, from: connection) {
          stillHeld.append(id)
        } else {
          connection.held = nil
          handle(packet, from: connection)
          handleWaitingPackets(of: connection)
        }
      }
      // Those that had to wait again came after those that still do.
      heldConnections = stillHeld + heldConnections
    } while needsWake
  }

  // MARK: Steps

  /// Whether a request outside transactions would change one of `paths`: its node, nodes that it creates on the way or removes with it,
  /// and the node that gains or loses a child.
  private func changes(_ packet: XenStorePacket, from connection: StoreConnection, anyOf paths: Set<XenStorePath>) -> Bool {
    let text = packet.payload.prefix { $0 != 0 }
    guard let path = try? XenStorePath(text, relativeTo: connection.domain) else { return false }
    if paths.contains(path) { return true }
    if packet.type == .remove {
      return path.parent.map(paths.contains) ?? false || paths.contains { path.contains($0) }
    }
    guard packet.type != .setPermissions, tree.node(at: path) == nil else { return false }
    let nearest = tree.nearestNode(to: path).path
    return paths.contains { nearest.contains($0) && $0.contains(path) }
  }
}
