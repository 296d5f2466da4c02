public import SharedMemory

/// A descriptor, copied out of the guest's memory in two loads (`struct vring_desc`, `struct vring_packed_desc`).
@usableFromInline struct Descriptor {
  @usableFromInline var address: UInt64
  @usableFromInline var byteCount: UInt32
  /// Bits 32 to 63 of the second word: flags and next (split), id and flags (packed).
  @usableFromInline var high: UInt32

  init(address: UInt64, byteCount: UInt32, high: UInt32) {
    self.address = address
    self.byteCount = byteCount
    self.high = high
  }

  @inlinable @inline(__always) init(_ memory: borrowing SharedBytes, at offset: Int) {
    address = memory.load64(at: offset)
    let second = memory.load64(at: offset + 8)
    byteCount = UInt32(truncatingIfNeeded: second)
    high = UInt32(truncatingIfNeeded: second >> 32)
  }

  @inlinable var splitFlags: UInt16 { UInt16(truncatingIfNeeded: high) }
  @inlinable var next: UInt16 { UInt16(truncatingIfNeeded: high >> 16) }
  @inlinable var packedID: UInt16 { UInt16(truncatingIfNeeded: high) }
  @inlinable var packedFlags: UInt16 { UInt16(truncatingIfNeeded: high >> 16) }
}

// From descriptors to checked buffers.
extension DeviceQueue {
  /// Adds what a descriptor names to the chain.
  @inlinable @inline(__always)
  mutating func append(_ descriptor: Descriptor, flags: UInt16, index: UInt16, to chain: inout Chain) throws(VirtqueueFault) {
    let isWritable = flags & DescriptorFlags.write != 0
    guard descriptor.byteCount > 0 else { throw breakQueue(.emptyDescriptor(index: index)) }
    guard isWritable || chain.elementCount == chain.readableCount else { throw breakQueue(.readableAfterWritable(index: index)) }
    var address = descriptor.address
    var left = Int(descriptor.byteCount)
    repeat {
      guard let buffer = memory.buffer(at: address, upTo: left) else {
        throw breakQueue(.outsideMemory(guestAddress: descriptor.address, byteCount: descriptor.byteCount))
      }
      guard chain.elementCount < Self.elementLimit else { throw breakQueue(.chainTooLong(limit: Self.chainLimit)) }
      elements[chain.elementCount] = buffer
      chain.elementCount += 1
      left -= buffer.byteCount
      // Wrapping: an address at the very end has no more bytes, which the next look finds.
      address &+= UInt64(buffer.byteCount)
    } while left > 0
    if isWritable {
      chain.writableByteCount += Int(descriptor.byteCount)
    } else {
      chain.readableCount = chain.elementCount
      chain.readableByteCount += Int(descriptor.byteCount)
    }
  }

  /// Adds what an indirect table holds. A split queue's is a chain by `next` in it; a packed queue's is read from front to end.
  @usableFromInline
  mutating func appendIndirect(_ table: Descriptor, index: UInt16, to chain: inout Chain) throws(VirtqueueFault) {
    guard features.indirect else { throw breakQueue(.indirectNotNegotiated(index: index)) }
    let count = Int(table.byteCount) / 16
    guard table.byteCount > 0, table.byteCount % 16 == 0, count <= Self.chainLimit else { throw breakQueue(.indirectLength(table.byteCount)) }
    guard table.address & 15 == 0, let memory = memory.bytes(at: table.address, byteCount: Int(table.byteCount)) else {
      throw breakQueue(.outsideMemory(guestAddress: table.address, byteCount: table.byteCount))
    }
    var position = 0
    for _ in 0..<count {
      let descriptor = Descriptor(memory, at: position * 16)
      let flags = format == .split ? descriptor.splitFlags : descriptor.packedFlags
      guard flags & DescriptorFlags.indirect == 0 else { throw breakQueue(.indirectNested(index: UInt16(position))) }
      try append(descriptor, flags: flags, index: UInt16(position), to: &chain)
      if format == .packed {
        position += 1
      } else {
        guard flags & DescriptorFlags.next != 0 else { return }
        position = Int(descriptor.next)
        guard position < count else { throw breakQueue(.descriptorIndex(descriptor.next, entryCount: count)) }
      }
    }
    // Every descriptor was used, and a split chain still goes on.
    if format == .split { throw breakQueue(.chainTooLong(limit: count)) }
  }
}
