public import SharedMemory

// The split format (virtio 1.2, 2.7).
extension DeviceQueue {
  mutating func attachSplit(_ base: UInt32) {
    // What was answered is in the used ring, whoever answered it.
    nextUsed = deviceArea.load16(at: SplitLayout.index)
    publishedUsed = nextUsed
    nextAvailable = UInt16(truncatingIfNeeded: base)
    if let inflight { nextAvailable = inflight.recover(usedIndex: nextUsed, base: nextAvailable, entryCount: entryCount) }
    knownAvailable = nextAvailable
    replayCount = inflight?.replayCount ?? 0
  }

  @inlinable @inline(__always) mutating func takeSplit() throws(VirtqueueFault) -> Chain? {
    if replayCount > 0, let head = inflight?.nextToReplay() {
      replayCount -= 1
      return try takeSplit(head: head)
    }
    if nextAvailable == knownAvailable {
      guard try refreshAvailable() else { return nil }
    }
    let position = Int(nextAvailable) & (entryCount - 1)
    let head = driverArea.load16(at: SplitLayout.availableEntry(position))
    nextAvailable &+= 1
    return try takeSplit(head: head)
  }

  @inlinable @inline(__always) mutating func takeSplit(head: UInt16) throws(VirtqueueFault) -> Chain {
    guard Int(head) < entryCount else { throw breakQueue(.descriptorIndex(head, entryCount: entryCount)) }
    guard underWay[Int(head)] == 0 else { throw breakQueue(.headInFlight(head)) }
    // An answer that the driver was not shown is not its own yet: with those it has at most as many chains as the queue has entries.
    guard Int(nextUsed &- publishedUsed) + (order?.count ?? openCount) < entryCount else { throw breakQueue(.headInFlight(head)) }
    var chain = Chain(id: head)
    var index = head
    var left = entryCount
    while true {
      let descriptor = Descriptor(descriptors, at: Int(index) * 16)
      let flags = descriptor.splitFlags
      if flags & DescriptorFlags.indirect != 0 {
        guard flags & DescriptorFlags.next == 0 else { throw breakQueue(.indirectNested(index: index)) }
        try appendIndirect(descriptor, index: index, to: &chain)
        break
      }
      try append(descriptor, flags: flags, index: index, to: &chain)
      guard flags & DescriptorFlags.next != 0 else { break }
      index = descriptor.next
      guard Int(index) < entryCount else { throw breakQueue(.descriptorIndex(index, entryCount: entryCount)) }
      left -= 1
      guard left > 0 else { throw breakQueue(.chainTooLong(limit: entryCount)) }
    }
    underWay[Int(head)] = 1
    openCount += 1
    inflight?.began(head)
    return chain
  }

  /// Looks at `avail.idx` once and remembers it if it is possible. Returns whether there is something to take.
  @inlinable mutating func refreshAvailable() throws(VirtqueueFault) -> Bool {
    // Pairs with the driver's barrier before it publishes: entries up to `index` are visible.
    let index = driverArea.loadAcquire16(at: SplitLayout.index)
    guard index &- nextAvailable <= UInt16(entryCount) else {
      throw breakQueue(.availableIndex(claimed: index, consumer: nextAvailable, entryCount: entryCount))
    }
    knownAvailable = index
    return index != nextAvailable
  }

  @inlinable @inline(__always) mutating func putSplit(_ id: UInt16, _ writtenByteCount: UInt32) {
    underWay[Int(id)] = 0
    inflight?.answered(id)
    let position = Int(nextUsed) & (entryCount - 1)
    let entry = UInt64(writtenByteCount) << 32 | UInt64(id)
    deviceArea.storeWord64(entry, at: SplitLayout.usedEntry(position))
    if memory.dirtyLog.isActive { markUsed(at: SplitLayout.usedEntry(position), byteCount: 8) }
    nextUsed &+= 1
  }

  @inlinable mutating func publishSplit() -> Bool {
    let old = publishedUsed
    let new = nextUsed
    if new == old { return false }
    publishedUsed = new
    // The release pairs with the driver's look at `used.idx`; the fence with the one after it has set `used_event`: either it sees `new`,
    // or we see its wish.
    deviceArea.storeRelease16(new, at: SplitLayout.index)
    if memory.dirtyLog.isActive { markUsed(at: SplitLayout.index, byteCount: 2) }
    inflight?.published(new)
    sharedMemoryFence()
    if features.eventIndex {
      return needsEvent(driverArea.load16(at: SplitLayout.usedEvent(entryCount)), new: new, old: old)
    }
    return driverArea.load16(at: SplitLayout.flags) & SplitLayout.suppressed == 0
  }

  @inlinable mutating func armSplit() -> Bool {
    if fault != nil { return false }
    if nextAvailable != knownAvailable { return true }
    if features.eventIndex {
      deviceArea.store16(nextAvailable, at: SplitLayout.availableEvent(entryCount))
    } else {
      deviceArea.store16(0, at: SplitLayout.flags)
    }
    // Pairs with the fence between the driver's publishing and its look at the event: either it kicks, or we see its index.
    sharedMemoryFence()
    return driverArea.loadAcquire16(at: SplitLayout.index) != nextAvailable
  }

  @inlinable mutating func disarmSplit() {
    // With event indices an old `avail_event` stays behind and asks for nothing.
    if !features.eventIndex { deviceArea.store16(SplitLayout.suppressed, at: SplitLayout.flags) }
  }

  @usableFromInline func markUsed(at offset: Int, byteCount: Int) {
    guard let logAddress else { return }
    memory.dirtyLog.mark(logAddress &+ UInt64(offset), byteCount: UInt64(byteCount))
  }
}
