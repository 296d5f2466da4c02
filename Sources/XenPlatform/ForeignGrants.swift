public import SharedMemory
public import XenInterface

/// A page of another domain that is mapped here until it is given back with ``ForeignGrants/unmap(_:)``.
@frozen public struct MappedPage: Sendable {
  /// Where the page starts in this process.
  public var address: UInt
  /// For the platform: which arena it came from, its page there, and whether the mapping is writable.
  public var arena: Int32
  public var page: Int32
  public var isWritable: Bool

  @inlinable public init(address: UInt, arena: Int32, page: Int32, isWritable: Bool) {
    self.address = address
    self.arena = arena
    self.page = page
    self.isWritable = isWritable
  }

  /// The stretch of `byteCount` bytes at `offset` in the page.
  @inlinable public func vector(at offset: Int, byteCount: Int) -> SharedVector {
    precondition(offset >= 0 && byteCount >= 0 && offset + byteCount <= pageByteCount, "stretch outside its page")
    return SharedVector(address: address + UInt(offset), byteCount: byteCount)
  }
}

/// What one other domain has granted to this domain: the mapper's side.
///
/// A class that platforms override, so that the data path calls through a table slot and never through an existential.
/// Confined to one thread at a time. The memory behind mapped pages stays mapped until the last reference to this object
/// goes away, so vectors taken from pages are valid as long as it lives.
open class ForeignGrants {
  public let granter: DomainID

  public init(granter: DomainID) { self.granter = granter }

  /// Maps one page for reading, or for reading and writing. Data path.
  open func map(_ reference: GrantReference, writable: Bool) throws(GrantError) -> MappedPage { fatalError("a platform overrides this") }

  /// Gives a page back. Data path; cannot fail.
  open func unmap(_ page: MappedPage) { fatalError("a platform overrides this") }

  /// Mapping is a system call here, so that several pages are better mapped in one, and a short stretch is better copied.
  open var mapsBySystemCall: Bool { false }

  /// Maps the first `count` of `references`, all of them or none, and puts the pages into `pages` from `start` on. Each is given back by
  /// itself. Data path.
  open func map(
    _ references: borrowing FixedTable<GrantReference>, count: Int, writable: Bool, to pages: borrowing FixedTable<MappedPage>, from start: Int
  ) throws(GrantError) {
    for index in 0..<count {
      do throws(GrantError) { pages[start + index] = try map(references[index], writable: writable) } catch {
        for mapped in 0..<index { unmap(pages[start + mapped]) }
        throw error
      }
    }
  }

  /// Gives `count` pages back, from `start` on. Data path; cannot fail.
  open func unmap(_ pages: borrowing FixedTable<MappedPage>, count: Int, from start: Int) {
    for place in start..<start + count { unmap(pages[place]) }
  }

  /// Maps a page once more that is mapped, as it is, whatever its entry says by now: it is given back once more, too. False when that cannot be
  /// done here, or so often. Data path.
  open func hold(_ page: MappedPage) -> Bool { false }

  /// Copies `count` bytes from `place` of private memory to `offset` of a granted page, as by mapping it for as long as that takes
  /// (`GNTTABOP_copy`). Data path.
  open func copyIn(
    to reference: GrantReference, at offset: Int, byteCount count: Int, from source: SharedBytes, at place: Int
  ) throws(GrantError) {
    let page = try map(reference, writable: true)
    bytes(of: page).copy(from: source, sourceOffset: place, to: offset, byteCount: count)
    unmap(page)
  }

  /// Copies `count` bytes at `offset` of a granted page to `place` of private memory, as by mapping it for as long as that takes
  /// (`GNTTABOP_copy`). Throws as ``map(_:writable:)`` does; what was copied is then not to be used. Data path.
  open func copyOut(
    of reference: GrantReference, at offset: Int, byteCount count: Int, to destination: SharedBytes, at place: Int
  ) throws(GrantError) {
    let page = try map(reference, writable: false)
    destination.copy(from: bytes(of: page), sourceOffset: offset, to: place, byteCount: count)
    unmap(page)
  }

  /// The same for the first `count` of `stretches`, each of which says where in `destination` it goes: all of them, or an error, and then nothing
  /// that was copied is to be used. Data path.
  open func copyOut(_ stretches: borrowing FixedTable<GrantStretch>, count: Int, to destination: SharedBytes) throws(GrantError) {
    for index in 0..<count {
      let stretch = stretches[index]
      try copyOut(
        of: stretch.grantReference, at: Int(stretch.offset), byteCount: Int(stretch.byteCount), to: destination, at: Int(stretch.place))
    }
  }

  /// As ``prefetch(_:at:)``, for stretches `range`.
  open func prefetch(_ stretches: borrowing FixedTable<GrantStretch>, _ range: Range<Int>) {}

  /// Asks for the cache line at `offset` of a granted page to be fetched, as it will be read soon. Only a hint, which may name anything; whether
  /// it can be used is found out when it is. Data path.
  open func prefetch(_ reference: GrantReference, at offset: Int) {}

  /// Maps pages side by side, in the order given, for reading and writing: rings and indirect tables. Control path.
  open func mapContiguously(_ references: [GrantReference]) throws(GrantError) -> GrantMapping { fatalError("a platform overrides this") }

  /// The same, and where the peer would not hear of our end otherwise (``PlatformCapabilities/reportsClosedPeers`` is false), the
  /// hypervisor tells it when these pages are given back, by us or by the death of this process.
  open func mapContiguously(_ references: [GrantReference], notice: UnmapNotice) throws(GrantError) -> GrantMapping {
    try mapContiguously(references)
  }

  /// The bytes of a mapped page, for word access that keeps the memory alive.
  open func bytes(of page: MappedPage) -> SharedBytes { fatalError("a platform overrides this") }

  /// Pages mapped now; zero when everything has been given back.
  open var mappedPageCount: Int { 0 }

  /// All memory that this object has made accessible to this process, for registration with io_uring. May grow.
  open var accessibleRanges: [SharedVector] { [] }
}

/// A stretch of a granted page that is to be copied, and where in private memory it goes (a segment of `GNTTABOP_copy`).
@frozen public struct GrantStretch: Sendable {
  public var grantReference: GrantReference
  /// Where it begins in the page, in bytes; `offset + byteCount` is at most a page.
  public var offset: UInt16
  /// Its length in bytes.
  public var byteCount: UInt16
  /// Where its copy begins in private memory, in bytes.
  public var place: UInt32

  @inlinable public init(grantReference: GrantReference, offset: UInt16, byteCount: UInt16, place: UInt32) {
    self.grantReference = grantReference
    self.offset = offset
    self.byteCount = byteCount
    self.place = place
  }
}

/// Pages mapped side by side, given back when the owner goes away.
public struct GrantMapping: ~Copyable {
  public let bytes: SharedBytes
  private let grants: ForeignGrants
  private let pages: [MappedPage]

  /// For platforms.
  public init(bytes: SharedBytes, pages: [MappedPage], grants: ForeignGrants) {
    self.bytes = bytes
    self.pages = pages
    self.grants = grants
  }

  deinit { for page in pages { grants.unmap(page) } }
}
