import SharedMemory
public import XenInterface
public import XenPlatform

/// Granted pages that hold the data of one operation, the first byte at the start of the first page.
///
/// A plain handle: it belongs to whoever took it from its pool, and goes back with ``IOBufferPool/free(_:)``.
@frozen public struct IOBuffer: Sendable, Equatable {
  /// First page in the arena; further ones are linked in the pool.
  @usableFromInline var firstPage: Int32
  @usableFromInline var pageCount: Int32
  /// Bytes asked for; the pages may hold more.
  public var byteCount: Int

  @inlinable init(firstPage: Int32, pageCount: Int32, byteCount: Int) {
    self.firstPage = firstPage
    self.pageCount = pageCount
    self.byteCount = byteCount
  }
}

/// The pages of one connection to a back-end: data buffers, rings and tables of indirect segments.
///
/// Pages come zeroed from the platform, are granted whole, and hold nothing but this device's data. With persistent grants a
/// page is granted when it is first used and stays so; otherwise it is granted a request at a time. Pages used last are
/// handed out first. No allocation after `init`. Confined to one thread.
public final class IOBufferPool {
  public let arena: GrantArena
  /// Pages stay granted between requests (`feature-persistent`).
  public let isPersistent: Bool
  /// The page after each page in its buffer; -1 at the end.
  @usableFromInline var nextPage: [Int32]
  @usableFromInline var states: [PageState]
  @usableFromInline var indirectPages: [Int32] = []
  /// Pages that were used and are free again, the one used last at the end. They may still be granted, so the arena does
  /// not get them back.
  private var freePages: [Int32] = []

  @usableFromInline enum PageState: UInt8 {
    case ungranted
    case granted
    /// Revoked while the peer had it mapped: never used again.
    case quarantined
  }

  public init(arena: GrantArena, isPersistent: Bool) {
    self.arena = arena
    self.isPersistent = isPersistent
    nextPage = Array(repeating: -1, count: arena.pageCount)
    states = Array(repeating: .ungranted, count: arena.pageCount)
    freePages.reserveCapacity(arena.pageCount)
  }

  /// Pages that can be taken now.
  public var freePageCount: Int { freePages.count + arena.freePageCount }

  /// Takes pages for `byteCount` bytes, or nil when there are not enough.
  public func makeBuffer(byteCount: Int) -> IOBuffer? {
    precondition(byteCount > 0, "an empty buffer")
    let count = (byteCount + pageByteCount - 1) / pageByteCount
    guard freePageCount >= count else { return nil }
    var first: Int32 = -1
    var last = -1
    for _ in 0..<count {
      guard let page = freePages.popLast() ?? arena.allocatePage().map(Int32.init) else {
        preconditionFailure("the arena has fewer pages than it said")
      }
      if last < 0 { first = page } else { nextPage[last] = page }
      last = Int(page)
    }
    nextPage[last] = -1
    return IOBuffer(firstPage: first, pageCount: Int32(count), byteCount: byteCount)
  }

  /// Gives a buffer back. No request may be using it.
  public func free(_ buffer: IOBuffer) {
    // Turned round first: the last page is handed out first, so the next buffer gets them in the same order again,
    // and pages that are neighbours stay one stretch.
    var reversed: Int32 = -1
    var page = buffer.firstPage
    while page >= 0 {
      let next = nextPage[Int(page)]
      nextPage[Int(page)] = reversed
      reversed = page
      page = next
    }
    while reversed >= 0 {
      let next = nextPage[Int(reversed)]
      nextPage[Int(reversed)] = -1
      if states[Int(reversed)] != .quarantined { freePages.append(reversed) }
      reversed = next
    }
  }
}

// MARK: - Granting

extension IOBufferPool {
  /// The reference to name `page` by in a request. `readOnly` is for pages that the back-end only reads; persistent grants
  /// are always writable (`feature-persistent`, xen/include/public/io/blkif.h).
  @usableFromInline func grantForRequest(_ page: Int32, readOnly: Bool) -> GrantReference {
    let index = Int(page)
    if states[index] == .granted { return arena.reference(ofPage: index) }
    states[index] = .granted
    return arena.grant(page: index, readOnly: readOnly && !isPersistent)
  }

  /// Ends what ``grantForRequest(_:readOnly:)`` began for `count` pages from `page` on. Returns how many the peer still has mapped.
  @usableFromInline func endRequest(firstPage page: Int32, count: Int32) -> Int {
    if isPersistent { return 0 }
    var stillMapped = 0
    var page = page
    for _ in 0..<count {
      stillMapped += revoke(Int(page)) ? 0 : 1
      page = nextPage[Int(page)]
    }
    return stillMapped
  }

  /// Revokes every page that is granted. Returns how many the peer still has mapped: they are never used again.
  func revokeAll() -> Int {
    var stillMapped = 0
    for page in states.indices where states[page] == .granted { stillMapped += revoke(page) ? 0 : 1 }
    return stillMapped
  }

  @usableFromInline func revoke(_ page: Int) -> Bool {
    guard states[page] == .granted else { return states[page] != .quarantined }
    let ended = arena.endAccess(page: page)
    states[page] = ended ? .ungranted : .quarantined
    return ended
  }

  /// Takes and grants neighbouring pages for a ring.
  func makeRing(pageCount: Int) -> (bytes: SharedBytes, references: [GrantReference])? {
    guard let first = arena.allocatePages(contiguous: pageCount) else { return nil }
    let references = (first..<first + pageCount).map { page in
      states[page] = .granted
      return arena.grant(page: page)
    }
    return (arena.bytes.slice(at: first * pageByteCount, byteCount: pageCount * pageByteCount), references)
  }

  /// Sets pages aside for tables of indirect segments.
  func reserveIndirectPages(_ count: Int) {
    indirectPages.reserveCapacity(count)
    for _ in 0..<count {
      guard let page = arena.allocatePage() else { preconditionFailure("the arena was made too small") }
      indirectPages.append(Int32(page))
    }
  }
}
