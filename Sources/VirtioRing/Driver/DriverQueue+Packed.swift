public import SharedMemory

// The packed format (virtio 1.2, 2.8).
extension DriverQueue {
  @inlinable mutating func addPacked(_ buffers: [Buffer], _ table: Table?, _ id: UInt16) {
    firstFree = links[Int(id)]
    if let table {
      write(table.guestAddress, UInt32(buffers.count * 16), id, DescriptorFlags.indirect)
      return
    }
    for position in buffers.indices {
      let buffer = buffers[position]
      var flags = buffer.isWritable ? DescriptorFlags.write : 0
      if position + 1 < buffers.count { flags |= DescriptorFlags.next }
      write(buffer.guestAddress, buffer.byteCount, id, flags)
    }
  }

  /// Writes the next descriptor. The flags of the first one since the last publish are kept: they show all that follow.
  @inlinable mutating func write(_ address: UInt64, _ byteCount: UInt32, _ id: UInt16, _ flags: UInt16) {
    let offset = Int(nextAvailable) * 16
    let flags = flags | (availableWrap ? DescriptorFlags.available : DescriptorFlags.used)
    descriptors.store64(address, at: offset)
    descriptors.store32(byteCount, at: offset + 8)
    descriptors.store16(id, at: offset + 12)
    if firstUnpublishedFlags == nil {
      firstUnpublishedFlags = flags
      publishedAvailable = nextAvailable
    } else {
      descriptors.store16(flags, at: offset + 14)
    }
    nextAvailable += 1
    if Int(nextAvailable) >= entryCount {
      nextAvailable = 0
      availableWrap.toggle()
    }
  }

  @inlinable mutating func publishPacked() -> Bool {
    guard let flags = firstUnpublishedFlags else { return false }
    firstUnpublishedFlags = nil
    let old = publishedAvailable
    // The release pairs with the acquire in DeviceQueue.takePacked, the fence with the one in DeviceQueue.armKick.
    descriptors.storeRelease16(flags, at: Int(old) * 16 + 14)
    sharedMemoryFence()
    return packedEventIsDue(
      wish: deviceArea.load32(at: 0), eventIndex: features.eventIndex, old: old, new: nextAvailable, wrap: availableWrap, entryCount: entryCount)
  }

  @inlinable @inline(__always) func isUsed(_ flags: UInt16) -> Bool {
    (flags & DescriptorFlags.available != 0) == usedWrap && (flags & DescriptorFlags.used != 0) == usedWrap
  }

  @inlinable mutating func takeUsedPacked() throws(Fault) -> Used? {
    let offset = Int(nextUsed) * 16
    // Pairs with the release in DeviceQueue.publishPacked.
    guard isUsed(descriptors.loadAcquire16(at: offset + 14)) else { return nil }
    let id = descriptors.load16(at: offset + 12)
    guard Int(id) < entryCount, slotCounts[Int(id)] > 0 else { throw .usedChain(UInt32(id)) }
    let used = Used(id: id, writtenByteCount: descriptors.load32(at: offset + 8))
    let slotCount = slotCounts[Int(id)]
    nextUsed += slotCount
    if Int(nextUsed) >= entryCount {
      nextUsed -= UInt16(entryCount)
      usedWrap.toggle()
    }
    links[Int(id)] = firstFree
    firstFree = id
    unusedCount += Int(slotCount)
    slotCounts[Int(id)] = 0
    openCount -= 1
    return used
  }
}
