public import SharedMemory

/// The driver's side of a virtqueue, split or packed (virtio 1.2, 2.7 and 2.8): for a front-end in this process, and for tests, fuzzing and
/// measurements of the device's side.
///
/// ```swift
/// let id = queue.add(buffers)!                  // nil: no room
/// if queue.publish() { kickTheDevice() }
/// while let used = try queue.takeUsed() { finish(used.id, used.writtenByteCount) }
/// ```
/// Belongs to one loop; not thread-safe. What the device writes is read once and checked.
public struct DriverQueue: ~Copyable {
  /// One descriptor's worth of guest memory.
  @frozen public struct Buffer: Sendable, Equatable {
    public var guestAddress: UInt64
    public var byteCount: UInt32
    /// Whether the device writes it. Buffers that it reads come first.
    public var isWritable: Bool

    @inlinable public init(guestAddress: UInt64, byteCount: UInt32, isWritable: Bool = false) {
      self.guestAddress = guestAddress
      self.byteCount = byteCount
      self.isWritable = isWritable
    }
  }

  /// Memory for one chain's indirect table. It belongs to the device until the chain is used.
  public struct Table: Sendable {
    public var memory: SharedBytes
    public var guestAddress: UInt64

    public init(_ memory: SharedBytes, guestAddress: UInt64) {
      self.memory = memory
      self.guestAddress = guestAddress
    }
  }

  /// A chain that the device has used.
  @frozen public struct Used: Sendable, Equatable {
    /// As ``DriverQueue/add(_:table:)`` gave it.
    public var id: UInt16
    public var writtenByteCount: UInt32

    @inlinable public init(id: UInt16, writtenByteCount: UInt32) {
      self.id = id
      self.writtenByteCount = writtenByteCount
    }
  }

  /// Something that no honest device can have written.
  public enum Fault: Error, Sendable, Equatable {
    /// `used.idx` claims more chains than are under way (split).
    case usedIndex(claimed: UInt16, consumer: UInt16, outstandingCount: Int)
    /// A used entry names no chain under way.
    case usedChain(UInt32)
  }

  public let format: DeviceQueue.Format
  public let features: DeviceQueue.Features
  public let entryCount: Int
  @usableFromInline let descriptors: SharedBytes
  @usableFromInline let driverArea: SharedBytes
  @usableFromInline let deviceArea: SharedBytes

  /// By chain id, how many descriptors of the ring a chain under way takes up; zero for the others.
  @usableFromInline let slotCounts: FixedTable<UInt16>
  /// Split: by descriptor, the next one of its chain or of the free list. Packed: by id, the next free id.
  @usableFromInline let links: FixedTable<UInt16>
  @usableFromInline var firstFree: UInt16 = 0
  /// Descriptors that can be added.
  public var freeCount: Int { unusedCount }
  @usableFromInline var unusedCount: Int
  /// Chains added and not taken back.
  public var outstandingCount: Int { openCount }
  @usableFromInline var openCount = 0

  /// Where the next available entry goes: free-running (split), or a place in the ring (packed).
  @usableFromInline var nextAvailable: UInt16
  @usableFromInline var publishedAvailable: UInt16
  @usableFromInline var nextUsed: UInt16
  @usableFromInline var availableWrap: Bool
  @usableFromInline var usedWrap: Bool
  /// The flags that show all that was added since the last publish (packed).
  @usableFromInline var firstUnpublishedFlags: UInt16?

  /// Sets up an empty queue in `parts`.
  /// - Parameter start: where its indices begin: any number for a split queue; a place below `entryCount` for a packed one, with the wrap
  ///   counters in bit 15, set in a new queue.
  public init(_ format: DeviceQueue.Format, entryCount: Int, parts: DeviceQueue.Parts, features: DeviceQueue.Features, start: UInt16) {
    precondition(entryCount > 0 && (format == .packed || entryCount.nonzeroBitCount == 1), "a split queue's size is a power of two")
    let sizes = DeviceQueue.partByteCounts(format, entryCount: entryCount)
    self.format = format
    self.features = features
    self.entryCount = entryCount
    descriptors = parts.descriptors
    driverArea = parts.driver
    deviceArea = parts.device
    slotCounts = FixedTable(repeating: 0, count: entryCount)
    links = FixedTable(count: entryCount) { UInt16(truncatingIfNeeded: $0 + 1) }
    unusedCount = entryCount
    let place = format == .split ? start : start & 0x7fff
    precondition(format == .split || Int(place) < entryCount, "a place outside the ring")
    nextAvailable = place
    publishedAvailable = place
    nextUsed = place
    availableWrap = start & 0x8000 != 0
    usedWrap = availableWrap
    descriptors.zero(at: 0, byteCount: sizes.descriptors)
    driverArea.zero(at: 0, byteCount: sizes.driver)
    deviceArea.zero(at: 0, byteCount: sizes.device)
    guard format == .split else { return }
    driverArea.store16(start, at: SplitLayout.usedEvent(entryCount))
    deviceArea.store16(start, at: SplitLayout.availableEvent(entryCount))
    deviceArea.store16(start, at: SplitLayout.index)
    driverArea.storeRelease16(start, at: SplitLayout.index)
  }

  /// What the device begins with, for `DeviceQueue.init`'s `base`, while nothing is under way.
  public var base: UInt32 {
    switch format {
    case .split: UInt32(nextAvailable)
    case .packed: UInt32(nextAvailable | (availableWrap ? 0x8000 : 0)) &* 0x1_0001
    }
  }

  /// Makes a chain available: the device sees it after ``publish()``. With a `table` it takes one descriptor of the ring, else one each.
  /// Returns the chain's id, or nil when there is no room. Traps without buffers, or when they do not fit `table`.
  @inlinable public mutating func add(_ buffers: [Buffer], table: Table? = nil) -> UInt16? {
    precondition(!buffers.isEmpty, "a chain without buffers")
    guard unusedCount >= (table == nil ? buffers.count : 1) else { return nil }
    if let table { fill(table, buffers) }
    let id = firstFree
    let slotCount = table == nil ? buffers.count : 1
    if format == .split { addSplit(buffers, table, id) } else { addPacked(buffers, table, id) }
    slotCounts[Int(id)] = UInt16(slotCount)
    unusedCount -= slotCount
    openCount += 1
    return id
  }

  /// Writes an indirect table: a chain by `next` (split), or a list (packed).
  @usableFromInline func fill(_ table: Table, _ buffers: [Buffer]) {
    for (position, buffer) in buffers.enumerated() {
      let isLast = position == buffers.count - 1
      var flags = buffer.isWritable ? DescriptorFlags.write : 0
      if format == .split, !isLast { flags |= DescriptorFlags.next }
      table.memory.store64(buffer.guestAddress, at: position * 16)
      let link = format == .split ? UInt64(flags) | UInt64(isLast ? 0 : position + 1) << 16 : UInt64(flags) << 16
      table.memory.store64(UInt64(buffer.byteCount) | link << 32, at: position * 16 + 8)
    }
  }

  /// Shows all chains added so far to the device. Returns whether it wants a kick.
  @inlinable public mutating func publish() -> Bool {
    if format == .split { return publishSplit() }
    return publishPacked()
  }

  /// The next chain that the device has used, or nil when there is none.
  @inlinable public mutating func takeUsed() throws(Fault) -> Used? {
    guard openCount > 0 else { return nil }
    if format == .split { return try takeUsedSplit() }
    return try takeUsedPacked()
  }

  /// Whether ``takeUsed()`` would return or throw something. One plain load: for polling loops.
  @inlinable public func hasUsed() -> Bool {
    if format == .split { return deviceArea.load16(at: SplitLayout.index) != nextUsed }
    return openCount > 0 && isUsed(descriptors.load16(at: Int(nextUsed) * 16 + 14))
  }

  /// Asks for a call at the next used chain, and looks again. True: there is one already, do not sleep.
  @inlinable public mutating func armCall() -> Bool {
    if format == .split {
      if features.eventIndex {
        driverArea.store16(nextUsed, at: SplitLayout.usedEvent(entryCount))
      } else {
        driverArea.store16(0, at: SplitLayout.flags)
      }
    } else if features.eventIndex {
      driverArea.store32(UInt32(PackedEvent.descriptor) << 16 | UInt32(nextUsed | (usedWrap ? 0x8000 : 0)), at: 0)
    } else {
      driverArea.store32(UInt32(PackedEvent.enable) << 16, at: 0)
    }
    // Pairs with the fence in DeviceQueue.publish: either it sees the wish, or we see its entries.
    sharedMemoryFence()
    return hasUsed()
  }

  /// Tells the device that no call is needed while this side looks by itself; only a hint.
  @inlinable public mutating func disarmCall() {
    if format == .packed {
      driverArea.store32(UInt32(PackedEvent.disable) << 16, at: 0)
    } else if !features.eventIndex {
      driverArea.store16(SplitLayout.suppressed, at: SplitLayout.flags)
    }
  }
}
