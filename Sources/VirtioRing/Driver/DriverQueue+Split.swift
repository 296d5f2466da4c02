public import SharedMemory

// The split format (virtio 1.2, 2.7).
extension DriverQueue {
  @inlinable mutating func addSplit(_ buffers: [Buffer], _ table: Table?, _ id: UInt16) {
    var index = id
    if let table {
      write(table.guestAddress, UInt32(buffers.count * 16), DescriptorFlags.indirect, 0, at: index)
      firstFree = links[Int(index)]
    } else {
      for position in buffers.indices {
        let buffer = buffers[position]
        var flags = buffer.isWritable ? DescriptorFlags.write : 0
        let next = links[Int(index)]
        if position + 1 < buffers.count { flags |= DescriptorFlags.next }
        write(buffer.guestAddress, buffer.byteCount, flags, next, at: index)
        index = next
      }
      firstFree = index
    }
    driverArea.store16(id, at: SplitLayout.availableEntry(Int(nextAvailable) & (entryCount - 1)))
    nextAvailable &+= 1
  }

  @inlinable func write(_ address: UInt64, _ byteCount: UInt32, _ flags: UInt16, _ next: UInt16, at index: UInt16) {
    descriptors.store64(address, at: Int(index) * 16)
    descriptors.store64(UInt64(byteCount) | UInt64(flags) << 32 | UInt64(next) << 48, at: Int(index) * 16 + 8)
  }

  @inlinable mutating func publishSplit() -> Bool {
    let old = publishedAvailable
    if nextAvailable == old { return false }
    publishedAvailable = nextAvailable
    // The release pairs with the acquire in DeviceQueue.refreshAvailable, the fence with the one in DeviceQueue.armKick.
    driverArea.storeRelease16(nextAvailable, at: SplitLayout.index)
    sharedMemoryFence()
    if features.eventIndex {
      return needsEvent(deviceArea.load16(at: SplitLayout.availableEvent(entryCount)), new: nextAvailable, old: old)
    }
    return deviceArea.load16(at: SplitLayout.flags) & SplitLayout.suppressed == 0
  }

  @inlinable mutating func takeUsedSplit() throws(Fault) -> Used? {
    // Pairs with the release in DeviceQueue.publish: entries up to `index` are visible.
    let index = deviceArea.loadAcquire16(at: SplitLayout.index)
    if index == nextUsed { return nil }
    guard Int(index &- nextUsed) <= openCount else {
      throw .usedIndex(claimed: index, consumer: nextUsed, outstandingCount: openCount)
    }
    let entry = deviceArea.loadWord64(at: SplitLayout.usedEntry(Int(nextUsed) & (entryCount - 1)))
    let id = UInt32(truncatingIfNeeded: entry)
    guard Int(id) < entryCount, slotCounts[Int(id)] > 0 else { throw .usedChain(id) }
    nextUsed &+= 1
    // Back to the free list, last in, first out; the links inside the chain are still there.
    var last = UInt16(id)
    for _ in 1..<slotCounts[Int(id)] { last = links[Int(last)] }
    links[Int(last)] = firstFree
    firstFree = UInt16(id)
    unusedCount += Int(slotCounts[Int(id)])
    slotCounts[Int(id)] = 0
    openCount -= 1
    return Used(id: UInt16(id), writtenByteCount: UInt32(truncatingIfNeeded: entry >> 32))
  }
}
