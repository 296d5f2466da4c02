public import CLinuxShims
public import SharedMemory

/// A guest's memory as this process has mapped it: from guest-physical addresses to checked stretches.
///
/// Belongs to one loop; not thread-safe. A region that is removed must not be in use: whoever removes it has stopped the queues, or knows
/// that no buffer of it is under way.
@safe public final class GuestMemory {
  /// What is known of one region. Addresses are numbers; nothing is accessed through them without a check against this.
  @usableFromInline struct Range {
    @usableFromInline var guestAddress: UInt64 = 0
    /// Where the VMM has it in its own address space: ring addresses come in these.
    @usableFromInline var userAddress: UInt64 = 0
    /// Zero: no region.
    @usableFromInline var byteCount: UInt64 = 0
    @usableFromInline var hostAddress: UInt = 0
    @usableFromInline init() {}
  }

  /// Why a region is refused.
  public enum RegionError: Error, Sendable, Equatable {
    case empty
    /// It ends beyond the address space.
    case overflow
    /// It shares guest addresses with a region that is there.
    case overlap(existing: Int)
    case tableFull(capacity: Int)
  }

  /// Most regions at a time, as many as QEMU has slots for hot-plugged memory with vhost-user.
  public static let capacity = 512

  @usableFromInline let ranges: FixedTable<Range>
  /// One past the last region in use.
  @usableFromInline let bound: FixedCell<Int>
  /// Where the last address was found: the next one is there, too, nearly always.
  @usableFromInline let lastHit: FixedCell<Int>
  /// Keeps the regions mapped.
  private var mappings: [SharedBytes?] = []
  /// Where writes are told, while a migration copies the guest.
  public let dirtyLog = DirtyLog()

  public init() {
    ranges = FixedTable(count: Self.capacity) { _ in Range() }
    bound = FixedCell(0)
    lastHit = FixedCell(0)
  }

  // MARK: Regions

  /// Adds a region, mapped as `bytes`, and returns its index.
  @discardableResult
  public func add(_ bytes: SharedBytes, guestAddress: UInt64, userAddress: UInt64) throws(RegionError) -> Int {
    let byteCount = UInt64(bytes.byteCount)
    guard byteCount > 0 else { throw .empty }
    guard guestAddress <= .max - byteCount, userAddress <= .max - byteCount else { throw .overflow }
    for index in 0..<bound.value where ranges[index].byteCount > 0 {
      let other = ranges[index]
      if guestAddress < other.guestAddress + other.byteCount, other.guestAddress < guestAddress + byteCount { throw .overlap(existing: index) }
    }
    let free = (0..<bound.value).first { ranges[$0].byteCount == 0 } ?? bound.value
    guard free < Self.capacity else { throw .tableFull(capacity: Self.capacity) }
    var range = Range()
    range.guestAddress = guestAddress
    range.userAddress = userAddress
    range.byteCount = byteCount
    range.hostAddress = bytes.address
    ranges[free] = range
    while mappings.count <= free { mappings.append(nil) }
    mappings[free] = bytes
    bound.value = max(bound.value, free + 1)
    return free
  }

  /// Removes the region with these addresses. Returns whether there was one.
  public func remove(guestAddress: UInt64, userAddress: UInt64, byteCount: UInt64) -> Bool {
    for index in 0..<bound.value {
      let range = ranges[index]
      guard range.byteCount > 0, range.guestAddress == guestAddress, range.userAddress == userAddress, range.byteCount == byteCount else { continue }
      ranges[index] = Range()
      mappings[index] = nil
      return true
    }
    return false
  }

  /// Forgets all regions.
  public func removeAll() {
    for index in 0..<bound.value { ranges[index] = Range() }
    mappings.removeAll()
    bound.value = 0
  }

  /// The memory of each region, by index; empty ones for places without.
  public var vectors: [SharedVector] {
    (0..<bound.value).map { SharedVector(address: ranges[$0].hostAddress, byteCount: Int(ranges[$0].byteCount)) }
  }

  /// Regions that are there.
  public var regionCount: Int { mappings.count { $0 != nil } }

  /// The highest guest address that is there, plus one: what a dirty log has to cover.
  public var guestAddressEnd: UInt64 {
    (0..<bound.value).map { ranges[$0].guestAddress + ranges[$0].byteCount }.max() ?? 0
  }

  // MARK: Translation

  /// The region that has the byte at a guest address, and how many bytes it has from there on.
  @inlinable @inline(__always)
  func find(_ address: UInt64) -> (region: Int, offset: UInt64, available: UInt64)? {
    let hint = lastHit.value
    let offset = address &- ranges[hint].guestAddress
    if offset < ranges[hint].byteCount { return (hint, offset, ranges[hint].byteCount - offset) }
    return findSlowly(address)
  }

  @usableFromInline func findSlowly(_ address: UInt64) -> (region: Int, offset: UInt64, available: UInt64)? {
    for index in 0..<bound.value {
      let offset = address &- ranges[index].guestAddress
      if offset < ranges[index].byteCount {
        lastHit.value = index
        return (index, offset, ranges[index].byteCount - offset)
      }
    }
    return nil
  }

  /// The stretch of at most `byteCount` bytes at a guest address that lies in one region; nil when the first byte is nowhere.
  @inlinable @inline(__always)
  public func buffer(at address: UInt64, upTo byteCount: Int) -> GuestBuffer? {
    guard let place = find(address) else { return nil }
    return GuestBuffer(
      address: ranges[place.region].hostAddress &+ UInt(place.offset), byteCount: Int(min(UInt64(byteCount), place.available)), region: Int32(place.region))
  }

  /// `byteCount` bytes at a guest address, in one region; nil when they are not all there.
  public func bytes(at address: UInt64, byteCount: Int) -> SharedBytes? {
    guard byteCount >= 0, let place = find(address), UInt64(byteCount) <= place.available else { return nil }
    return mappings[place.region]?.slice(at: Int(place.offset), byteCount: byteCount)
  }

  /// The guest address of something that the VMM has at `userAddress`; nil when it is in no region.
  public func guestAddress(ofUser userAddress: UInt64) -> UInt64? {
    for index in 0..<bound.value where ranges[index].byteCount > 0 {
      let offset = userAddress &- ranges[index].userAddress
      if offset < ranges[index].byteCount { return ranges[index].guestAddress + offset }
    }
    return nil
  }

  // MARK: Bytes

  /// Traps unless `count` bytes from `offset` of `buffer` lie in its region: a buffer that outlived its region is a mistake of ours.
  @inlinable @inline(__always)
  func pointer(_ buffer: GuestBuffer, _ offset: Int, _ count: Int) -> UnsafeMutableRawPointer {
    precondition(offset >= 0 && count >= 0 && offset <= buffer.byteCount - count, "access outside its buffer")
    let start = UInt64(buffer.address &- ranges[Int(buffer.region)].hostAddress)
    let length = ranges[Int(buffer.region)].byteCount
    precondition(start <= length && UInt64(buffer.byteCount) <= length - start, "a buffer of a region that is gone")
    // SAFETY: the range was checked to lie in a region, which `mappings` keeps mapped as long as it is in the table.
    return unsafe UnsafeMutableRawPointer(bitPattern: buffer.address)! + offset
  }

  /// Stores one byte at `offset` of `buffer`.
  @inlinable @inline(__always) public func store8(_ value: UInt8, to buffer: GuestBuffer, at offset: Int) {
    // SAFETY: `pointer` checks the range.
    unsafe pvio_store_relaxed_u8(pointer(buffer, offset, 1), value)
  }

  /// One byte at `offset` of `buffer`, read once.
  @inlinable @inline(__always) public func load8(_ buffer: GuestBuffer, at offset: Int) -> UInt8 {
    // SAFETY: `pointer` checks the range.
    unsafe pvio_load_relaxed_u8(pointer(buffer, offset, 1))
  }

  /// Two little-endian words at `offset` of `buffer`, wherever it is aligned to, each copied once.
  @inlinable @inline(__always) public func loadWords(_ buffer: GuestBuffer, at offset: Int) -> (UInt64, UInt64) {
    // SAFETY: `pointer` checks the range of both.
    let start = unsafe pointer(buffer, offset, 16)
    return unsafe (pvio_load_unaligned_u64(start), pvio_load_unaligned_u64(start + 8))
  }

  /// Copies all of `buffer` to `offset` of memory of ours.
  public func copy(_ buffer: GuestBuffer, to destination: SharedBytes, at offset: Int) {
    _ = unsafe pointer(buffer, 0, buffer.byteCount)
    // SAFETY: the buffer was just checked to be mapped; the destination checks its own range.
    unsafe destination.copyIn(buffer.vector, at: offset)
  }

  /// Copies as much memory of ours from `offset` on as `buffer` holds.
  public func copy(_ source: SharedBytes, at offset: Int, to buffer: GuestBuffer) {
    _ = unsafe pointer(buffer, 0, buffer.byteCount)
    // SAFETY: as above.
    unsafe source.copyOut(at: offset, to: buffer.vector)
  }

  /// Marks the pages of `buffer` in the dirty log.
  public func markWritten(_ buffer: GuestBuffer) {
    let range = ranges[Int(buffer.region)]
    dirtyLog.mark(range.guestAddress &+ UInt64(buffer.address &- range.hostAddress), byteCount: UInt64(buffer.byteCount))
  }

  /// Marks the pages of memory that a buffer gave: for what knows the memory's address in this process only.
  public func markWritten(_ vector: SharedVector) {
    for index in 0..<bound.value where ranges[index].byteCount > 0 {
      let offset = UInt64(vector.address &- ranges[index].hostAddress)
      guard offset < ranges[index].byteCount else { continue }
      return dirtyLog.mark(ranges[index].guestAddress &+ offset, byteCount: UInt64(vector.byteCount))
    }
  }

  /// Copies `count` bytes at `offset` of `buffer` out to the start of `destination`, once.
  @inlinable @inline(__always)
  public func copyOut(_ buffer: GuestBuffer, at offset: Int, byteCount count: Int, to destination: UnsafeMutableRawBufferPointer) {
    precondition(count <= destination.count, "copy outside its destination")
    // SAFETY: both ranges are checked.
    if count > 0 { unsafe memcpy(destination.baseAddress!, pointer(buffer, offset, count), count) }
  }

  /// Copies all of `source` in at `offset` of `buffer`.
  @inlinable @inline(__always)
  public func copyIn(_ source: UnsafeRawBufferPointer, to buffer: GuestBuffer, at offset: Int) {
    // SAFETY: both ranges are checked.
    if source.count > 0 { unsafe memcpy(pointer(buffer, offset, source.count), source.baseAddress!, source.count) }
  }
}
