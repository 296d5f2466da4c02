import NetInterface
import SharedMemory
import XenInterface
import XenPlatform

/// Pages that a front-end has posted, mapped before their turn: several at a time, which costs one fence for all of them, and with the lines
/// that will be written to on their way from the other processor's cache.
///
/// What is posted is read twice, here and when it is its turn; a page is used only for a request that names it then, too. Nothing stays mapped
/// from one batch to the next.
struct PostedPages: ~Copyable {
  /// Pages that are mapped at a time, at most.
  static let capacity = 32

  /// Not private, because Swift 6.3 emits a module that does not verify when it is.
  struct State {
    /// The next page that may be used …
    var next = 0
    /// … up to here; those before it are mapped still.
    var end = 0
    /// Pages that were used since the last batch began.
    var usedCount = 0
    /// Pages to be mapped at a time: as many as the last batch took.
    var stride = 1
  }

  private let references = FixedTable(repeating: GrantReference(rawValue: 0), count: PostedPages.capacity)
  private let pages = FixedTable(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false), count: PostedPages.capacity)
  private let state = FixedCell(State())

  /// The page of `reference`, if it is the next one.
  @inline(__always) func take(_ reference: GrantReference) -> MappedPage? {
    let next = state.value.next
    guard next < state.value.end, references[next] == reference else { return nil }
    state.value.next = next + 1
    state.value.usedCount += 1
    return pages[next]
  }

  /// Gives what is mapped back and maps `reference` and those that `following` names, as far as it does: it is asked with 0, 1 and so on.
  /// Throws when `reference` cannot be mapped.
  ///
  /// - Parameter byteCount: of a frame: as much of each page is fetched.
  func refill(
    _ reference: GrantReference, byteCount: Int, _ grants: ForeignGrants, following: (UInt32) -> GrantReference?
  ) throws(GrantError) -> MappedPage {
    unmapAll(grants)
    references[0] = reference
    var count = 1
    while count < state.value.stride, let later = following(UInt32(count - 1)) {
      references[count] = later
      count += 1
    }
    do throws(GrantError) { try grants.map(references, count: count, writable: true, to: pages, from: 0) } catch {
      // One of them is wrong. If it is another one, it is found when it is its turn.
      if count == 1 { throw error }
      count = 1
      pages[0] = try grants.map(reference, writable: true)
    }
    for place in 1..<max(1, count) {
      pages[place].vector(at: ReceiveSlots.spreadOffset(of: references[place]), byteCount: byteCount).prefetchForWriting()
    }
    state.value.end = count
    state.value.next = 1
    state.value.usedCount += 1
    return pages[0]
  }

  /// Gives back what is mapped: before the front-end is shown its answers.
  @inline(__always) func endOfBatch(_ grants: ForeignGrants) {
    if state.value.usedCount == 0 { return }
    state.value.stride = min(state.value.usedCount, Self.capacity)
    state.value.usedCount = 0
    unmapAll(grants)
  }

  private func unmapAll(_ grants: ForeignGrants) {
    let count = state.value.end
    state.value.end = 0
    state.value.next = 0
    if count > 0 { grants.unmap(pages, count: count, from: 0) }
  }
}
