public import SharedMemory

/// The device's side of a virtqueue, split or packed (virtio 1.2, 2.7 and 2.8).
///
/// ```swift
/// while let chain = try queue.take() {
///   for position in 0..<chain.elementCount { use(queue.elements[position]) }   // until the next take
///   queue.put(chain, writtenByteCount: 513)
/// }
/// if queue.publish() { callTheDriver() }
/// ```
/// Belongs to one loop; not thread-safe. Each descriptor is read once, into private memory; every decision is made on the copy. Chains may be
/// answered in any order.
public struct DeviceQueue: ~Copyable {
  public enum Format: Sendable { case split, packed }

  /// What was negotiated for the ring.
  public struct Features: Sendable, Equatable {
    /// `VIRTIO_F_EVENT_IDX`.
    public var eventIndex: Bool
    /// `VIRTIO_F_INDIRECT_DESC`.
    public var indirect: Bool
    /// `VIRTIO_F_IN_ORDER`: the driver sees answers in the order of its chains, whatever order they were given in.
    public var inOrder: Bool

    public init(eventIndex: Bool = false, indirect: Bool = false, inOrder: Bool = false) {
      self.eventIndex = eventIndex
      self.indirect = indirect
      self.inOrder = inOrder
    }
  }

  /// Where the queue's three parts are. A split queue: descriptor table, available ring, used ring. A packed one: descriptor ring, driver's
  /// and device's event suppression.
  public struct Parts: Sendable {
    public var descriptors: SharedBytes
    public var driver: SharedBytes
    public var device: SharedBytes
    /// Guest address of what the device writes (the used ring; a packed queue's descriptor ring), if writes to it are to be marked.
    public var logAddress: UInt64?

    public init(descriptors: SharedBytes, driver: SharedBytes, device: SharedBytes, logAddress: UInt64? = nil) {
      self.descriptors = descriptors
      self.driver = driver
      self.device = device
      self.logAddress = logAddress
    }
  }

  /// One chain of descriptors that the driver has made available.
  @frozen public struct Chain: Sendable, Equatable {
    /// What names it in the used ring: the index of its first descriptor (split), its buffer id (packed).
    public var id: UInt16
    /// Places in a packed ring that it takes up.
    @usableFromInline var slotCount: UInt16
    /// Buffers in ``DeviceQueue/elements``: first those that the device reads, then those that it writes.
    public var elementCount: Int
    public var readableCount: Int
    public var readableByteCount: Int
    public var writableByteCount: Int

    @inlinable init(id: UInt16) {
      self.id = id
      slotCount = 1
      elementCount = 0
      readableCount = 0
      readableByteCount = 0
      writableByteCount = 0
    }
  }

  /// Most descriptors of a chain (`VIRTQUEUE_MAX_SIZE`, QEMU), and most entries of a queue here.
  public static let chainLimit = 1024
  /// Most entries of a queue (virtio 1.2, 2.7: 32768; nobody has more than this).
  public static let entryLimit = 4096

  public let format: Format
  public let features: Features
  public let entryCount: Int
  public let memory: GuestMemory
  /// The buffers of the chain taken last.
  public let elements: FixedTable<GuestBuffer>

  @usableFromInline let descriptors: SharedBytes
  @usableFromInline let driverArea: SharedBytes
  @usableFromInline let deviceArea: SharedBytes
  @usableFromInline var logAddress: UInt64?
  @usableFromInline let inflight: InflightRecord?
  @usableFromInline let packedInflight: PackedInflightRecord?
  /// Chains of the last back-end that have not been taken again yet.
  @usableFromInline var replayCount = 0

  /// By chain id: places that it takes up in the ring while it is under way, else zero.
  @usableFromInline let underWay: FixedTable<UInt16>
  /// The chains under way in the order in which they were taken, where that matters.
  @usableFromInline let order: ChainOrder?

  /// Chains taken and not answered.
  public var unansweredCount: Int { openCount }
  @usableFromInline var openCount = 0
  /// Places of the ring that they take up, and those answered that the driver has not been shown (packed).
  @usableFromInline var openSlotCount = 0
  /// How many of them have been answered.
  @usableFromInline var answeredSlotCount = 0

  /// The next available entry: free-running (split), or a place in the ring (packed).
  @usableFromInline var nextAvailable: UInt16
  /// `avail.idx` as it was last seen and found possible (split).
  @usableFromInline var knownAvailable: UInt16
  /// The next used entry, in the same terms.
  @usableFromInline var nextUsed: UInt16
  /// Where the entries begin that the driver has not been shown.
  @usableFromInline var publishedUsed: UInt16
  /// The ring's wrap counters (packed).
  @usableFromInline var availableWrap = true
  @usableFromInline var usedWrap = true
  /// The first entry put since the last publish: its flags are written last, and show all (packed).
  @usableFromInline var firstUnpublishedFlags: UInt16?
  @usableFromInline var fault: VirtqueueFault?

  /// Takes up a queue whose memory the driver has set up.
  /// - Parameters:
  ///   - base: where the device left off, as ``base`` gave it; 0 for a new split queue, 0x8000_8000 for a new packed one.
  ///   - inflight: the record of what was under way when the last back-end ended, for a split queue; chains in it come out of ``take()`` again.
  ///   - packedInflight: the same for a packed queue.
  public init(
    _ format: Format, entryCount: Int, parts: Parts, features: Features, memory: GuestMemory, base: UInt32, inflight: InflightRecord? = nil,
    packedInflight: PackedInflightRecord? = nil
  ) throws(VirtqueueFault) {
    guard entryCount > 0, entryCount <= Self.entryLimit, format == .packed || entryCount.nonzeroBitCount == 1 else {
      throw .entryCount(entryCount)
    }
    let sizes = Self.partByteCounts(format, entryCount: entryCount)
    guard parts.descriptors.byteCount >= sizes.descriptors, parts.descriptors.address & 15 == 0 else { throw .ringMemory(part: .descriptors) }
    guard parts.driver.byteCount >= sizes.driver, parts.driver.address & (format == .split ? 1 : 3) == 0 else { throw .ringMemory(part: .driver) }
    guard parts.device.byteCount >= sizes.device, parts.device.address & 3 == 0 else { throw .ringMemory(part: .device) }
    self.format = format
    self.features = features
    self.entryCount = entryCount
    self.memory = memory
    descriptors = parts.descriptors
    driverArea = parts.driver
    deviceArea = parts.device
    logAddress = parts.logAddress
    self.inflight = format == .split ? inflight : nil
    self.packedInflight = format == .packed ? packedInflight : nil
    elements = FixedTable(repeating: GuestBuffer(address: 0, byteCount: 0, region: 0), count: Self.elementLimit)
    underWay = FixedTable(repeating: 0, count: entryCount)
    order = features.inOrder ? ChainOrder(entryCount: entryCount) : nil
    nextAvailable = 0
    knownAvailable = 0
    nextUsed = 0
    publishedUsed = 0
    switch format {
    case .split: attachSplit(base)
    case .packed: attachPacked(base)
    }
  }

  /// The base of a new queue: both wrap counters of a packed one begin at one.
  public static func firstBase(_ format: Format) -> UInt32 { format == .split ? 0 : 0x8000_8000 }

  /// Bytes of a queue's three parts, the event fields included.
  public static func partByteCounts(_ format: Format, entryCount: Int) -> (descriptors: Int, driver: Int, device: Int) {
    switch format {
    case .split: (entryCount * 16, SplitLayout.driverByteCount(entryCount), SplitLayout.deviceByteCount(entryCount))
    case .packed: (entryCount * 16, 4, 4)
    }
  }

  /// A chain may lie across regions: a few more buffers than descriptors.
  @usableFromInline static let elementLimit = chainLimit + 64

  /// Where the device is, for whoever takes the queue up next (`VHOST_USER_GET_VRING_BASE`). Chains under way have to be answered first.
  public var base: UInt32 {
    switch format {
    case .split: UInt32(nextAvailable)
    case .packed:
      UInt32(nextAvailable) | (availableWrap ? 1 << 15 : 0) | UInt32(nextUsed) << 16 | (usedWrap ? 1 << 31 : 0)
    }
  }

  // MARK: The driver's chains

  /// The next chain, or nil when there is none. Its buffers are in ``elements`` until the next call.
  ///
  /// Throws when the driver did what no honest driver does, now and on every later call.
  @inlinable @inline(__always) public mutating func take() throws(VirtqueueFault) -> Chain? {
    if let fault { throw fault }
    let chain = format == .split ? try takeSplit() : try takePacked()
    if let order, let chain { order.took(chain.id) }
    return chain
  }

  /// Whether ``take()`` would return or throw something. One plain load at most: for polling loops.
  @inlinable @inline(__always) public func hasChains() -> Bool {
    if replayCount > 0 { return true }
    if format == .split { return nextAvailable != knownAvailable || driverArea.load16(at: SplitLayout.index) != nextAvailable }
    return packedIsAvailable()
  }

  /// Answers a chain: the driver sees it after ``publish()``. `writtenByteCount` is how much was written into its writable buffers,
  /// from the front. Traps when the chain is not under way.
  @inlinable @inline(__always) public mutating func put(_ id: UInt16, writtenByteCount: UInt32) {
    precondition(Int(id) < entryCount && underWay[Int(id)] > 0, "an answer to a chain that is not under way")
    openCount -= 1
    if let order { return putInOrder(order, id, writtenByteCount) }
    if format == .split { putSplit(id, writtenByteCount) } else { putPacked(id, writtenByteCount) }
  }

  /// An answer waits for those to the chains before it.
  @inlinable mutating func putInOrder(_ order: ChainOrder, _ id: UInt16, _ writtenByteCount: UInt32) {
    order.answered(id, writtenByteCount)
    while let next = order.takeAnswered() {
      if format == .split { putSplit(next.id, next.writtenByteCount) } else { putPacked(next.id, next.writtenByteCount) }
    }
  }

  /// Puts the chain that was taken last, of those that are not answered or given back, back into the ring: it comes out again.
  public mutating func giveBack(_ chain: Chain) {
    precondition(underWay[Int(chain.id)] > 0, "a chain that is not under way")
    order?.gaveBack(chain.id)
    underWay[Int(chain.id)] = 0
    openCount -= 1
    if format == .split {
      inflight?.givenBack(chain.id)
      nextAvailable &-= 1
    } else {
      if nextAvailable < chain.slotCount {
        nextAvailable += UInt16(entryCount)
        availableWrap.toggle()
      }
      nextAvailable -= chain.slotCount
    }
  }

  /// Shows all answers put so far. Returns whether the driver wants to be called.
  @inlinable public mutating func publish() -> Bool {
    if format == .split { return publishSplit() }
    return publishPacked()
  }

  /// Where the device's own writes to the ring are marked from now on; nil: nowhere.
  public mutating func markWrites(at guestAddress: UInt64?) { logAddress = guestAddress }

  // MARK: Kicks

  /// Asks for a kick at the next chain, and looks again. True: there is one already, do not sleep.
  @inlinable public mutating func armKick() -> Bool {
    if replayCount > 0, fault == nil { return true }
    if format == .split { return armSplit() }
    return armPacked()
  }

  /// Tells the driver that no kick is needed while this side looks by itself; only a hint.
  @inlinable public mutating func disarmKick() {
    if format == .split { disarmSplit() } else { disarmPacked() }
  }

  // MARK: Faults

  @inlinable mutating func breakQueue(_ fault: VirtqueueFault) -> VirtqueueFault {
    self.fault = fault
    return fault
  }
}
