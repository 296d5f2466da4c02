import SharedMemory
import XenInterface
import XenPlatform

/// Pages that requests have mapped, and those that stay mapped between requests (`feature-persistent`).
///
/// A request's pages are numbered as its vectors in the engine's table, so no request can have more than fit.
final class HeldPages {
  private struct Held {
    var page = MappedPage(address: 0, arena: -1, page: 0, isWritable: false)
    /// Its entry in the persistent set; -1: unmapped when the request ends.
    var persistent: Int32 = -1
  }

  let grants: ForeignGrants
  private let held: FixedTable<Held>
  private let isPersistent: Bool
  private let persistentSet: FixedCell<PersistentGrants?>
  /// One request's, on the way to and from the platform.
  private let references: FixedTable<GrantReference>
  private let batch: FixedTable<MappedPage>

  /// - Parameters:
  ///   - persistentLimit: pages that may stay mapped; 0: none do.
  ///   - requestLimit: pages that one request has at most.
  init(grants: ForeignGrants, capacity: Int, requestLimit: Int, persistentLimit: Int) {
    self.grants = grants
    held = FixedTable(repeating: Held(), count: capacity)
    persistentSet = FixedCell(persistentLimit > 0 ? PersistentGrants(limit: persistentLimit) : nil)
    isPersistent = persistentLimit > 0
    holdsTogether = grants.mapsBySystemCall && !isPersistent
    references = FixedTable(repeating: GrantReference(rawValue: 0), count: holdsTogether ? requestLimit : 0)
    batch = FixedTable(repeating: Held().page, count: holdsTogether ? requestLimit : 0)
  }

  /// The pages that stay mapped; nil when none do.
  var persistent: PersistentGrants? { persistentSet.value }

  /// A request's pages are better held by one ``hold(first:count:writable:_:)``: each mapping is a system call, and none stays.
  let holdsTogether: Bool

  /// Maps a request's pages in one, as `count` pages of the table from `first` on: all of them or none.
  func hold(first: Int, count: Int, writable: Bool, _ reference: (Int) -> GrantReference) throws(GrantError) {
    for position in 0..<count { references[position] = reference(position) }
    try grants.map(references, count: count, writable: writable, to: batch, from: 0)
    for position in 0..<count { held[first + position] = Held(page: batch[position]) }
  }

  /// Page `index` of the table, which is held.
  func page(at index: Int) -> MappedPage { held[index].page }

  /// Maps `reference` as page `index` of the table.
  func hold(_ reference: GrantReference, writable: Bool, at index: Int) throws(GrantError) -> MappedPage {
    if isPersistent { return try holdPersistently(reference, at: index) }
    let page = try grants.map(reference, writable: writable)
    held[index].page = page
    held[index].persistent = -1
    return page
  }

  private func holdPersistently(_ reference: GrantReference, at index: Int) throws(GrantError) -> MappedPage {
    if let entry = persistentSet.value?.use(reference) {
      held[index].persistent = Int32(entry.index)
      return entry.page
    }
    // Persistent grants are writable whatever they are used for (xen/include/public/io/blkif.h).
    let page = try grants.map(reference, writable: true)
    held[index].page = page
    if let evicted = persistentSet.value?.makeRoom() { grants.unmap(evicted) }
    held[index].persistent = Int32(persistentSet.value?.insert(reference, page) ?? -1)
    return page
  }

  /// Gives back `count` pages from `first` on: before the response, or the front-end finds its grant in use.
  func release(first: Int, count: Int) {
    for index in first..<first + count {
      if held[index].persistent >= 0 { persistentSet.value?.release(Int(held[index].persistent)) } else { grants.unmap(held[index].page) }
    }
  }

  /// Gives back what stays mapped between requests. No request may be under way.
  func releasePersistent() {
    while let page = persistentSet.value?.removeAny() { grants.unmap(page) }
  }
}
