/// The open transactions of a connection by their numbers. Most connections have one at a time, which is found without hashing.
struct TransactionTable {
  private var first: StoreTransaction?
  private var others: [UInt32: StoreTransaction] = [:]

  var count: Int { (first == nil ? 0 : 1) + others.count }

  /// All of them, in no order.
  var values: [StoreTransaction] { (first.map { [$0] } ?? []) + others.values }

  subscript(id: UInt32) -> StoreTransaction? { first?.id == id ? first : others.isEmpty ? nil : others[id] }

  /// Enters a transaction whose number no other one has.
  mutating func insert(_ transaction: StoreTransaction) {
    if first == nil { first = transaction } else { others[transaction.id] = transaction }
  }

  mutating func remove(_ id: UInt32) {
    if first?.id == id { first = nil } else { others[id] = nil }
  }

  mutating func removeAll() { self = TransactionTable() }
}
