import XenInterface
import XenPlatform

/// The grants that stay mapped, found by reference: a fixed hash table, with a clock hand that finds what has not been used lately.
///
/// The front-end uses the grant last returned first, so those that are not needed any more are the ones not used for long.
/// No allocation after `init`.
struct PersistentGrants {
  private struct Entry {
    var reference = GrantReference(rawValue: 0)
    var page = MappedPage(address: 0, arena: -1, page: 0, isWritable: false)
    /// Requests that use it now.
    var useCount: Int32 = 0
    var wasUsedLately = false
    var isOccupied = false
    /// Next in the hash chain, or in the free list.
    var next: Int32 = -1
  }

  private var entries: [Entry]
  private var chains: [Int32]
  private var firstFree: Int32
  private var hand = 0
  /// Pages that stay mapped now.
  private(set) var count = 0
  /// Pages that were given up to make room for others.
  private(set) var evictionCount: UInt64 = 0

  init(limit: Int) {
    precondition(limit > 0)
    entries = (0..<limit).map { index in
      var entry = Entry()
      entry.next = index + 1 < limit ? Int32(index + 1) : -1
      return entry
    }
    firstFree = 0
    var chainCount = 1
    while chainCount < limit * 2 { chainCount *= 2 }
    chains = Array(repeating: -1, count: chainCount)
  }

  /// The page of `reference` if it is here, marked as used until ``release(_:)``.
  mutating func use(_ reference: GrantReference) -> (index: Int, page: MappedPage)? {
    var index = chains[chain(of: reference)]
    while index >= 0 {
      if entries[Int(index)].reference == reference {
        entries[Int(index)].useCount += 1
        entries[Int(index)].wasUsedLately = true
        return (Int(index), entries[Int(index)].page)
      }
      index = entries[Int(index)].next
    }
    return nil
  }

  /// When the table is full, takes out a page that nobody uses and that was not used lately. Nil: nothing had to, or could, go.
  mutating func makeRoom() -> MappedPage? {
    guard firstFree < 0 else { return nil }
    // Twice round: the first pass may only take the marks away.
    for _ in 0..<entries.count * 2 {
      let index = hand
      hand = hand + 1 < entries.count ? hand + 1 : 0
      if entries[index].useCount > 0 { continue }
      if entries[index].wasUsedLately {
        entries[index].wasUsedLately = false
        continue
      }
      evictionCount &+= 1
      return remove(index)
    }
    return nil
  }

  /// Keeps a page, marked as used until ``release(_:)``. Nil when there is no room: the page is then the caller's.
  mutating func insert(_ reference: GrantReference, _ page: MappedPage) -> Int? {
    guard firstFree >= 0 else { return nil }
    let index = Int(firstFree)
    firstFree = entries[index].next
    let chain = chain(of: reference)
    entries[index] = Entry(reference: reference, page: page, useCount: 1, wasUsedLately: true, isOccupied: true, next: chains[chain])
    chains[chain] = Int32(index)
    count += 1
    return index
  }

  mutating func release(_ index: Int) {
    precondition(entries[index].useCount > 0, "persistent grant released twice")
    entries[index].useCount -= 1
  }

  /// Takes out any page; nil when there are none left.
  mutating func removeAny() -> MappedPage? {
    guard count > 0 else { return nil }
    while !entries[hand].isOccupied { hand = hand + 1 < entries.count ? hand + 1 : 0 }
    precondition(entries[hand].useCount == 0, "a persistent grant is still in use")
    return remove(hand)
  }

  private mutating func remove(_ index: Int) -> MappedPage {
    let page = entries[index].page
    let chain = chain(of: entries[index].reference)
    if chains[chain] == Int32(index) {
      chains[chain] = entries[index].next
    } else {
      var previous = Int(chains[chain])
      while entries[previous].next != Int32(index) { previous = Int(entries[previous].next) }
      entries[previous].next = entries[index].next
    }
    entries[index].isOccupied = false
    entries[index].next = firstFree
    firstFree = Int32(index)
    count -= 1
    return page
  }

  private func chain(of reference: GrantReference) -> Int {
    // Fibonacci hashing: references are small and dense, and the front-end chooses them; a chain is at most `limit` long.
    Int(truncatingIfNeeded: (reference.rawValue &* 2_654_435_769) >> 8) & (chains.count - 1)
  }
}
