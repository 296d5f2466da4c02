import SharedMemory
import XenInterface

// Batches: what is the same for all pages of an arena is looked up once, and one fence is for all of them.
extension ForeignMappings {
  /// How much of a stretch is fetched ahead at most: a processor asks for so many lines at a time, and the copy fetches the rest in order.
  private static var prefetchByteCount: Int { 512 }

  /// Maps the first `count` of `references`, all or none, with one fence for all of them. False, and nothing is mapped, when they are not all
  /// in one arena that was added.
  ///
  /// The other way round than a single page: the status words say first that the pages are in use, then the entries are looked at. A granter
  /// that takes one back clears its entry before it looks at the status, so either we see that, or it sees us.
  mutating func map(
    _ references: borrowing FixedTable<GrantReference>, count: Int, writable: Bool, to pages: borrowing FixedTable<MappedPage>, from start: Int
  ) throws(GrantError) -> Bool {
    guard count > 0, let index = index(of: references[0]) else { return count == 0 }
    if writable, arenas[index].access == .readOnly { throw .readOnly(references[0]) }
    guard mappedCount + count <= limit else { throw .tooManyMapped(limit: limit) }
    // Taken out once, for all of them.
    let memory = arenas[index].memory
    let firstCount = firstCounts[index]
    var marked = 0
    while marked < count {
      let slot = references[marked].rawValue &- memory.firstReference.rawValue
      guard slot < UInt32(truncatingIfNeeded: memory.pageCount) else { break }
      var mapped = counts[firstCount + Int(slot)]
      guard mapped.readers < .max else { break }
      mapped.readers += 1
      if writable { mapped.writers += 1 }
      counts[firstCount + Int(slot)] = mapped
      memory.status.store16(Self.statusBits(mapped), at: Int(slot) * GrantEntryLayout.statusByteCount)
      marked += 1
    }
    mappedCount += marked
    if marked < count {
      unmark(references, count: marked, writable: writable, in: index)
      return false
    }
    // Pairs with the granter's "clear the flags, fence, read the status".
    sharedMemoryFence()
    do throws(GrantError) {
      for place in 0..<count {
        let slot = references[place].rawValue &- memory.firstReference.rawValue
        let (word, frame) = try entry(Int(slot), of: memory.entries, pageCount: memory.pageCount, references[place])
        if writable, UInt16(truncatingIfNeeded: word) & GrantEntryLayout.readOnly != 0 { throw .readOnly(references[place]) }
        pages[start + place] = MappedPage(
          address: memory.data.address + UInt(truncatingIfNeeded: frame) * UInt(pageByteCount), arena: Int32(truncatingIfNeeded: index),
          page: Int32(truncatingIfNeeded: slot), isWritable: writable)
      }
    } catch {
      unmark(references, count: count, writable: writable, in: index)
      throw error
    }
    return true
  }

  /// Takes back what the status words of a batch say that is not mapped after all.
  private mutating func unmark(_ references: borrowing FixedTable<GrantReference>, count: Int, writable: Bool, in index: Int) {
    for place in 0..<count {
      guard let slot = arenas[index].slot(of: references[place]) else { preconditionFailure("marked in another arena") }
      unmap(MappedPage(address: 0, arena: Int32(truncatingIfNeeded: index), page: Int32(truncatingIfNeeded: slot), isWritable: writable))
    }
  }

  /// Gives `count` pages back, from `start` on.
  mutating func unmap(_ pages: borrowing FixedTable<MappedPage>, count: Int, from start: Int) {
    var place = start
    while place < start + count {
      let arena = pages[place].arena
      // Taken out once, for all that are side by side.
      let memory = arenas[Int(arena)].memory
      let firstCount = firstCounts[Int(arena)]
      while place < start + count, pages[place].arena == arena {
        let slot = Int(pages[place].page)
        precondition(slot >= 0 && slot < memory.pageCount, "page of another mapper")
        var mapped = counts[firstCount + slot]
        let isWritable = pages[place].isWritable
        precondition(mapped.readers > 0 && (!isWritable || mapped.writers > 0), "page unmapped twice")
        mapped.readers -= 1
        if isWritable { mapped.writers -= 1 }
        counts[firstCount + slot] = mapped
        // As in settleStatus(of:in:_:).
        memory.status.storeRelease16(Self.statusBits(mapped), at: slot * GrantEntryLayout.statusByteCount)
        place += 1
      }
    }
    mappedCount -= count
  }

  /// Copies the first `count` of `stretches`, out of pages that stay unmapped. False when they are not all in one arena that was added, or too
  /// many; what was copied is then not to be used, as with an error. Entries are looked at before and after, as by the copy of a single one.
  mutating func copyOut(_ stretches: borrowing FixedTable<GrantStretch>, count: Int, to destination: SharedBytes) throws(GrantError) -> Bool {
    guard count > 0, count <= words.count, let index = index(of: stretches[0].grantReference) else { return count == 0 }
    let memory = arenas[index].memory
    for place in 0..<count {
      let stretch = stretches[place]
      let slot = stretch.grantReference.rawValue &- memory.firstReference.rawValue
      guard slot < UInt32(truncatingIfNeeded: memory.pageCount) else { return false }
      let (word, frame) = try entry(Int(slot), of: memory.entries, pageCount: memory.pageCount, stretch.grantReference)
      words[place] = word
      precondition(Int(stretch.offset) + Int(stretch.byteCount) <= pageByteCount, "stretch outside its page")
      destination.copy(
        from: memory.data, sourceOffset: Int(truncatingIfNeeded: frame) &* pageByteCount &+ Int(stretch.offset), to: Int(stretch.place),
        byteCount: Int(stretch.byteCount))
    }
    // Pairs with the granter, which takes a grant back before it uses the page for something else.
    sharedMemoryLoadFence()
    for place in 0..<count {
      let slot = Int(stretches[place].grantReference.rawValue &- memory.firstReference.rawValue)
      guard memory.entries.loadAcquire32(at: slot * GrantEntryLayout.entryByteCount) == words[place] else {
        throw .changedWhileMapping(stretches[place].grantReference)
      }
    }
    return true
  }

  /// As ``prefetch(_:at:)``, for stretches `range`, as far as they are in the arena of the first of them.
  mutating func prefetch(_ stretches: borrowing FixedTable<GrantStretch>, _ range: Range<Int>) {
    guard !range.isEmpty, let index = index(of: stretches[range.lowerBound].grantReference) else { return }
    let data = arenas[index].memory.data
    let first = arenas[index].memory.firstReference.rawValue
    let pageCount = UInt32(truncatingIfNeeded: arenas[index].memory.pageCount)
    for place in range {
      let slot = stretches[place].grantReference.rawValue &- first
      // A hint outside the memory is none.
      if slot < pageCount {
        data.prefetchForReading(
          at: Int(slot) &* pageByteCount &+ Int(stretches[place].offset), byteCount: min(Int(stretches[place].byteCount), Self.prefetchByteCount))
      }
    }
  }

  /// The same for an arena that was taken out of ``arenas`` for several entries: each time, that counts references.
  @inline(__always) private func entry(
    _ slot: Int, of entries: SharedBytes, pageCount: Int, _ reference: GrantReference
  ) throws(GrantError) -> (word: UInt32, frame: UInt64) {
    let offset = slot * GrantEntryLayout.entryByteCount
    let word = entries.loadAcquire32(at: offset + GrantEntryLayout.flagsOffset)
    let frame = entries.load64(at: offset + GrantEntryLayout.frameOffset)
    try check(word, frame, pageCount: pageCount, reference)
    return (word, frame)
  }
}
