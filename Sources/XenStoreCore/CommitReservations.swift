import XenInterface
import XenStoreWire

/// Who may carry out a transaction next on nodes where one has met a conflict.
///
/// A connection whose commit met a conflict files the nodes that its transaction looked at. Its next transaction begins when no other one
/// that overlaps is under way, and while it is under way nobody else may change those nodes. Both are bounded in time, and who lets that
/// time run out may not file again for a while, so that nobody can stop others for more than a tenth of the time.
///
/// Times are nanoseconds of any clock that does not go back.
struct CommitReservations {
  /// How long a transaction keeps its nodes to itself.
  static let limitNanoseconds: UInt64 = 10_000_000
  /// How long its holder may not file again when that was not enough.
  static let barNanoseconds: UInt64 = 100_000_000
  /// Nodes that can be filed; a transaction that looked at more competes as it did before.
  static let pathLimit = 64
  /// Bytes of their paths.
  static let pathByteLimit = 8192

  /// On whose account a reservation is: a guest's connections have one together.
  enum Holder: Hashable {
    case connection(XenStoreConnectionID)
    case domain(DomainID)
  }

  private struct Reservation {
    let owner: XenStoreConnectionID
    let holder: Holder
    let paths: Set<XenStorePath>
    /// The transaction that it is for, once that has begun.
    var transaction: UInt32?
    var deadline: UInt64 = .max
  }

  /// In the order in which they were filed; at most one for each connection.
  private var reservations: [Reservation] = []
  private var barredUntil: [Holder: UInt64] = [:]
  /// Reservations whose transaction is under way.
  private(set) var activeCount = 0

  /// Whether there is nothing to look at.
  var isEmpty: Bool { reservations.isEmpty }

  /// When the first of those under way runs out.
  var nextDeadline: UInt64? {
    guard activeCount > 0 else { return nil }
    return reservations.lazy.filter { $0.transaction != nil }.map(\.deadline).min()
  }

  /// Files nodes for the owner's next transaction, in place of what it had filed.
  mutating func file(_ paths: Set<XenStorePath>, owner: XenStoreConnectionID, holder: Holder, now: UInt64) {
    remove(owner)
    guard !paths.isEmpty, paths.count <= CommitReservations.pathLimit,
      paths.reduce(0, { $0 + $1.bytes.count }) <= CommitReservations.pathByteLimit
    else { return }
    barredUntil = barredUntil.filter { $0.value > now }
    guard barredUntil[holder] == nil else { return }
    reservations.append(Reservation(owner: owner, holder: holder, paths: paths))
  }

  /// Whether the owner's next transaction has to wait for another one to end.
  func delaysStart(of owner: XenStoreConnectionID) -> Bool {
    guard activeCount > 0, let filed = reservations.first(where: { $0.owner == owner && $0.transaction == nil }) else { return false }
    return reservations.contains { $0.transaction != nil && $0.owner != owner && !$0.paths.isDisjoint(with: filed.paths) }
  }

  /// The owner's transaction has begun: from now on its nodes are its own, if it has filed any.
  mutating func begin(_ transaction: UInt32, of owner: XenStoreConnectionID, now: UInt64) {
    guard let index = reservations.firstIndex(where: { $0.owner == owner && $0.transaction == nil }) else { return }
    reservations[index].transaction = transaction
    reservations[index].deadline = now + CommitReservations.limitNanoseconds
    activeCount += 1
  }

  /// Whether somebody else's transaction keeps a node to itself that `matches`. One who has such nodes himself never waits: two who
  /// waited for each other would wait until their time ran out.
  func isReserved(fromAllBut owner: XenStoreConnectionID, _ matches: (Set<XenStorePath>) -> Bool) -> Bool {
    guard activeCount > 0 else { return false }
    var isReserved = false
    for reservation in reservations where reservation.transaction != nil {
      if reservation.owner == owner { return false }
      isReserved = isReserved || matches(reservation.paths)
    }
    return isReserved
  }

  /// The owner's transaction is over. True when somebody may have waited for it.
  mutating func end(_ transaction: UInt32, of owner: XenStoreConnectionID) -> Bool {
    guard reservations.contains(where: { $0.owner == owner && $0.transaction == transaction }) else { return false }
    return remove(owner)
  }

  /// Forgets what a connection has filed. True when somebody may have waited for it.
  @discardableResult
  mutating func remove(_ owner: XenStoreConnectionID) -> Bool {
    guard let index = reservations.firstIndex(where: { $0.owner == owner }) else { return false }
    let wasActive = reservations.remove(at: index).transaction != nil
    if wasActive { activeCount -= 1 }
    return wasActive
  }

  /// Ends what has run out of time. True when somebody may have waited for it.
  mutating func expire(now: UInt64) -> Bool {
    guard activeCount > 0 else { return false }
    let count = activeCount
    for reservation in reservations where reservation.deadline <= now {
      barredUntil[reservation.holder] = now + CommitReservations.barNanoseconds
      activeCount -= 1
    }
    reservations.removeAll { $0.deadline <= now }
    return activeCount < count
  }
}
