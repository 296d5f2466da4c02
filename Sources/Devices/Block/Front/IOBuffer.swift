import SharedMemory
import XenInterface
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
  @usableFromInline var pages: [Page]
  private var indirectPages: [Int32] = []
  /// Pages that were used and are free again, the one used last at the end. They may still be granted, so the arena does
  /// not get them back.
  private var freePages: [Int32] = []

  @usableFromInline struct Page {
    @usableFromInline enum State: UInt8 {
      case ungranted
      case granted
      /// Revoked while the peer had it mapped: never used again.
      case quarantined
    }
    /// The page after this one in its buffer; -1 at the end.
    @usableFromInline var next: Int32 = -1
    @usableFromInline var state = State.ungranted
  }

  public init(arena: GrantArena, isPersistent: Bool) {
    self.arena = arena
    self.isPersistent = isPersistent
    pages = Array(repeating: Page(), count: arena.pageCount)
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
      if last < 0 { first = page } else { pages[last].next = page }
      last = Int(page)
    }
    pages[last].next = -1
    return IOBuffer(firstPage: first, pageCount: Int32(count), byteCount: byteCount)
  }

  /// Gives a buffer back. No request may be using it.
  public func free(_ buffer: IOBuffer) {
    // Turned round first: the last page is handed out first, so the next buffer gets them in the same order again,
    // and pages that are neighbours stay one stretch.
    var reversed: Int32 = -1
    var page = buffer.firstPage
    while page >= 0 {
      let next = pages[Int(page)].next
      pages[Int(page)].next = reversed
      reversed = page
      page = next
    }
    while reversed >= 0 {
      let next = pages[Int(reversed)].next
      pages[Int(reversed)].next = -1
      if pages[Int(reversed)].state != .quarantined { freePages.append(reversed) }
      reversed = next
    }
  }
}

// MARK: - Granting

extension IOBufferPool {
  /// The reference to name `page` by in a request, and the page after it. `readOnly` is for pages that the back-end only
  /// reads; persistent grants are always writable (`feature-persistent`, xen/include/public/io/blkif.h).
  func use(_ page: Int32, readOnly: Bool) -> (reference: GrantReference, next: Int32) {
    let index = Int(page)
    let known = pages[index]
    if known.state == .granted { return (arena.reference(ofPage: index), known.next) }
    pages[index].state = .granted
    return (arena.grant(page: index, readOnly: readOnly && !isPersistent), known.next)
  }

  /// Ends what ``use(_:readOnly:)`` began for `count` pages from `page` on. Returns how many the peer still has mapped.
  func endRequest(firstPage page: Int32, count: Int32) -> Int {
    if isPersistent { return 0 }
    var stillMapped = 0
    var page = page
    for _ in 0..<count {
      stillMapped += revoke(Int(page)) ? 0 : 1
      page = pages[Int(page)].next
    }
    return stillMapped
  }

  /// Revokes every page that is granted. Returns how many the peer still has mapped: they are never used again.
  func revokeAll() -> Int {
    var stillMapped = 0
    for page in pages.indices where pages[page].state == .granted { stillMapped += revoke(page) ? 0 : 1 }
    return stillMapped
  }

  private func revoke(_ page: Int) -> Bool {
    guard pages[page].state == .granted else { return pages[page].state != .quarantined }
    let ended = arena.endAccess(page: page)
    pages[page].state = ended ? .ungranted : .quarantined
    return ended
  }

  /// Takes and grants neighbouring pages for a ring.
  func makeRing(pageCount: Int) -> (bytes: SharedBytes, references: [GrantReference])? {
    guard let first = arena.allocatePages(contiguous: pageCount) else { return nil }
    let references = (first..<first + pageCount).map { page in
      pages[page].state = .granted
      return arena.grant(page: page)
    }
    return (arena.bytes.slice(at: first * pageByteCount, byteCount: pageCount * pageByteCount), references)
  }

  /// Pages for tables of indirect segments that can be taken now.
  var indirectPageCount: Int { indirectPages.count }

  /// Takes a page for a table, which there must be, and links `next` behind it.
  func takeIndirectPage(before next: Int32) -> Int32 {
    let page = indirectPages.removeLast()
    pages[Int(page)].next = next
    return page
  }

  /// Gives a table's page back; tells what is linked behind it, and whether the peer let go of it.
  func endIndirectPage(_ page: Int32) -> (next: Int32, isFree: Bool) {
    let isFree = isPersistent || revoke(Int(page))
    if isFree { indirectPages.append(page) }
    return (pages[Int(page)].next, isFree)
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
