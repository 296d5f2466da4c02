import XenStoreWire

/// The transactions that follow the live tree instead of having a copy of it, and what has changed under them.
///
/// A copy has a price even where nobody looks at it: while it is there, each change of the live tree duplicates the nodes on its way, and
/// so does each change of the copy. Most transactions end before anybody changes what they looked at, and need none. Only values may
/// change under a follower, and what they were is kept here; before anything else changes, each follower gets its copy.
struct Followers {
  /// The value of a node before it was changed.
  struct OldValue {
    let path: XenStorePath
    let value: [UInt8]
    let generation: UInt64
  }

  /// Transactions that may follow at a time: to give each a copy, when that has to be, stays cheap. The others have one from the start.
  static let limit = 256
  /// Nodes that a follower may look at; they are compared one by one.
  static let pathLimit = 8
  /// Old values that are kept. Among busy clients one now and then waits for its turn while the others change hundreds of values; with a copy,
  /// it would make each of their changes duplicate nodes until it is done.
  static let historyLimit = 1024

  /// Only those that have looked at a node, in no order.
  private(set) var transactions: [StoreTransaction] = []
  /// Oldest first.
  private var history: [OldValue] = []
  /// The position of the first entry; positions count all entries that there ever were.
  private var historyStart = 0

  var isEmpty: Bool { transactions.isEmpty }

  /// What begins to follow now begins at this position.
  var position: Int { historyStart + history.count }

  /// Whether there is no room for another old value.
  var isFull: Bool { history.count >= Followers.historyLimit }

  /// False when there are too many.
  mutating func add(_ transaction: StoreTransaction) -> Bool {
    guard transactions.count < Followers.limit else { return false }
    transactions.append(transaction)
    return true
  }

  /// A transaction is over, or got its copy.
  mutating func remove(_ transaction: StoreTransaction) {
    guard let index = transactions.firstIndex(where: { $0 === transaction }) else { return }
    transactions.swapAt(index, transactions.count - 1)
    transactions.removeLast()
    guard transactions.isEmpty, !history.isEmpty else { return }
    historyStart += history.count
    history.removeAll(keepingCapacity: true)
  }

  /// Keeps what is about to be changed; there must be room.
  mutating func note(_ old: OldValue) { history.append(old) }

  /// What changed between two positions, oldest first.
  func changes(_ positions: Range<Int>) -> ArraySlice<OldValue> {
    history[(positions.lowerBound - historyStart)..<(positions.upperBound - historyStart)]
  }

  func hasChanged(_ path: XenStorePath, since start: Int) -> Bool { changes(start..<position).contains { $0.path == path } }

  /// Forgets what no follower needs. Gives those that stand in the way of half the history, which have to get copies.
  mutating func forgetOldValues() -> [StoreTransaction] {
    let oldest = transactions.reduce(position) { min($0, $1.followedSince) }
    history.removeFirst(oldest - historyStart)
    historyStart = oldest
    let needed = position - Followers.historyLimit / 2
    return transactions.filter { $0.followedSince < needed }
  }
}
