public import SharedMemory

// The packed format (virtio 1.2, 2.8): one ring of descriptors that both sides write; who owns one is told by two bits and the wrap counter.
extension DeviceQueue {
  mutating func attachPacked(_ base: UInt32) {
    nextAvailable = UInt16(truncatingIfNeeded: base & 0x7fff)
    availableWrap = base & 1 << 15 != 0
    nextUsed = UInt16(truncatingIfNeeded: base >> 16 & 0x7fff)
    usedWrap = base & 1 << 31 != 0
    if Int(nextAvailable) >= entryCount { nextAvailable = 0 }
    if Int(nextUsed) >= entryCount { nextUsed = 0 }
    if let packedInflight {
      // Told by the first look at the queue.
      do throws(VirtqueueFault) { try recover(packedInflight) } catch { fault = error }
    }
    publishedUsed = nextUsed
  }

  /// Goes on where the last back-end was, whatever the VMM knows of that.
  private mutating func recover(_ record: PackedInflightRecord) throws(VirtqueueFault) {
    let ring = descriptors
    let position = try record.recover(nextUsed: nextUsed, usedWrap: usedWrap) { place, wrap in
      let flags = ring.loadAcquire16(at: Int(place) * 16 + 14)
      return (flags & DescriptorFlags.available != 0) == wrap && (flags & DescriptorFlags.used != 0) != wrap
    }
    guard let position else { return }
    nextUsed = position.nextUsed
    usedWrap = position.usedWrap
    let end = Int(nextUsed) + position.openSlotCount
    nextAvailable = UInt16(end >= entryCount ? end - entryCount : end)
    availableWrap = usedWrap != (end >= entryCount)
    openSlotCount = position.openSlotCount
    takeBack(position)
    record.settled()
    replayCount = record.replayCount
  }

  /// Makes answers that the driver was not shown look unanswered: else it would find them behind the next ones. The first one's flags were not
  /// written.
  private func takeBack(_ position: PackedInflightRecord.Position) {
    for offset in 1..<max(1, position.staleSlotCount) {
      let place = Int(position.nextUsed) + offset
      let wrap = position.usedWrap != (place >= entryCount)
      descriptors.store16(wrap ? DescriptorFlags.available : DescriptorFlags.used, at: (place >= entryCount ? place - entryCount : place) * 16 + 14)
    }
  }

  /// The next chain of the record, from the copies of its descriptors: the ring's may have been overwritten.
  @usableFromInline mutating func takeReplay(_ record: PackedInflightRecord) throws(VirtqueueFault) -> Chain? {
    guard let replay = record.nextToReplay() else { return nil }
    replayCount -= 1
    var chain = Chain(id: 0)
    var index = replay.head
    for position in 0..<replay.count {
      let (descriptor, next) = record.descriptor(index)
      chain.id = descriptor.packedID
      if descriptor.packedFlags & DescriptorFlags.indirect != 0 {
        guard replay.count == 1 else { throw breakQueue(.indirectNested(index: position)) }
        try appendIndirect(descriptor, index: position, to: &chain)
      } else {
        try append(descriptor, flags: descriptor.packedFlags, index: position, to: &chain)
      }
      index = next
    }
    guard Int(chain.id) < entryCount else { throw breakQueue(.chainID(chain.id, entryCount: entryCount)) }
    guard underWay[Int(chain.id)] == 0 else { throw breakQueue(.headInFlight(chain.id)) }
    chain.slotCount = replay.count
    underWay[Int(chain.id)] = replay.count
    openCount += 1
    record.beganAgain(replay, id: chain.id)
    return chain
  }

  @inlinable @inline(__always) func packedFlagsOffset(_ index: UInt16) -> Int { Int(index) * 16 + 14 }

  @inlinable @inline(__always) func packedIsAvailable() -> Bool { isAvailable(descriptors.load16(at: packedFlagsOffset(nextAvailable))) }

  /// Whether flags say that the driver has written the descriptor in this round.
  @inlinable @inline(__always) func isAvailable(_ flags: UInt16) -> Bool {
    (flags & DescriptorFlags.available != 0) == availableWrap && (flags & DescriptorFlags.used != 0) != availableWrap
  }

  @inlinable @inline(__always) mutating func takePacked() throws(VirtqueueFault) -> Chain? {
    if replayCount > 0, let packedInflight { return try takeReplay(packedInflight) }
    // Pairs with the driver's barrier before it writes the flags of a chain's first descriptor.
    guard isAvailable(descriptors.loadAcquire16(at: packedFlagsOffset(nextAvailable))) else { return nil }
    var chain = Chain(id: 0)
    var index = nextAvailable
    var wrap = availableWrap
    var slotCount = 0
    packedInflight?.begin()
    while true {
      let descriptor = Descriptor(descriptors, at: Int(index) * 16)
      let flags = descriptor.packedFlags
      slotCount += 1
      // A wrap counter that lies: a place that has a chain under way cannot have another one.
      guard openSlotCount <= entryCount - slotCount else { throw breakQueue(.overrun(entryCount: entryCount)) }
      packedInflight?.note(descriptor)
      // The last descriptor has the chain's id.
      chain.id = descriptor.packedID
      let current = index
      index += 1
      if Int(index) >= entryCount {
        index = 0
        wrap.toggle()
      }
      if flags & DescriptorFlags.indirect != 0 {
        guard flags & DescriptorFlags.next == 0, slotCount == 1 else { throw breakQueue(.indirectNested(index: current)) }
        try appendIndirect(descriptor, index: current, to: &chain)
        break
      }
      try append(descriptor, flags: flags, index: current, to: &chain)
      guard flags & DescriptorFlags.next != 0 else { break }
      guard slotCount < entryCount else { throw breakQueue(.chainTooLong(limit: entryCount)) }
    }
    // Any number fits the field; drivers count from zero, and the in-flight record has an entry each.
    guard Int(chain.id) < entryCount else { throw breakQueue(.chainID(chain.id, entryCount: entryCount)) }
    guard underWay[Int(chain.id)] == 0 else { throw breakQueue(.headInFlight(chain.id)) }
    chain.slotCount = UInt16(slotCount)
    underWay[Int(chain.id)] = chain.slotCount
    openCount += 1
    openSlotCount += slotCount
    packedInflight?.began(chain.id)
    nextAvailable = index
    availableWrap = wrap
    return chain
  }

  @inlinable @inline(__always) mutating func putPacked(_ id: UInt16, _ writtenByteCount: UInt32) {
    let slotCount = underWay[Int(id)]
    underWay[Int(id)] = 0
    answeredSlotCount += Int(slotCount)
    let place = nextUsed
    let offset = Int(place) * 16
    let flags = (usedWrap ? DescriptorFlags.available | DescriptorFlags.used : 0) | (writtenByteCount > 0 ? DescriptorFlags.write : 0)
    nextUsed += slotCount
    if Int(nextUsed) >= entryCount {
      nextUsed -= UInt16(entryCount)
      usedWrap.toggle()
    }
    packedInflight?.willAnswer(id, nextUsed: nextUsed, usedWrap: usedWrap)
    // The answer goes into the ring of descriptors itself. Flags apart: the driver looks at them.
    descriptors.store32(writtenByteCount, at: offset + 8)
    descriptors.store16(id, at: offset + 12)
    if firstUnpublishedFlags == nil {
      // Shown last: a driver that does not see the first one does not look at those behind it.
      firstUnpublishedFlags = flags
      publishedUsed = place
    } else {
      descriptors.store16(flags, at: offset + 14)
    }
    if memory.dirtyLog.isActive { markUsed(at: offset, byteCount: 16) }
  }

  @inlinable mutating func publishPacked() -> Bool {
    guard let flags = firstUnpublishedFlags else { return false }
    firstUnpublishedFlags = nil
    let old = publishedUsed
    openSlotCount -= answeredSlotCount
    answeredSlotCount = 0
    packedInflight?.willPublish()
    // Releases the entries behind it as well.
    descriptors.storeRelease16(flags, at: Int(old) * 16 + 14)
    packedInflight?.didPublish(nextUsed: nextUsed, usedWrap: usedWrap)
    // Once more: the page may have been copied since its entry was put.
    if memory.dirtyLog.isActive { markUsed(at: Int(old) * 16, byteCount: 16) }
    sharedMemoryFence()
    return packedEventIsDue(
      wish: driverArea.load32(at: 0), eventIndex: features.eventIndex, old: old, new: nextUsed, wrap: usedWrap, entryCount: entryCount)
  }

  @inlinable mutating func armPacked() -> Bool {
    if fault != nil { return false }
    if features.eventIndex {
      let place = nextAvailable | (availableWrap ? 0x8000 : 0)
      deviceArea.store32(UInt32(PackedEvent.descriptor) << 16 | UInt32(place), at: 0)
    } else {
      deviceArea.store32(UInt32(PackedEvent.enable) << 16, at: 0)
    }
    sharedMemoryFence()
    return packedIsAvailable()
  }

  @inlinable mutating func disarmPacked() {
    deviceArea.store32(UInt32(PackedEvent.disable) << 16, at: 0)
  }
}
