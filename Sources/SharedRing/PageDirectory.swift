public import SharedMemory
public import XenInterface

/// Grant references of a large buffer, listed in pages that are granted themselves.
public enum PageDirectory {
  /// How the pages are linked.
  public enum Layout: Sendable, Equatable {
    /// Each page begins with the reference of the next one, 0 in the last (`struct xendispl_page_directory`,
    /// xen/include/public/io/displif.h; sndif.h has the same).
    case chained
    /// One page of references, such as `pd` of `struct xenfb_page` (fbif.h): `entryByteCount` is 4 or 8, `first` where they begin.
    case flat(first: Int, entryByteCount: Int)
  }

  /// References that one page of `layout` lists.
  public static func capacity(_ layout: Layout) -> Int {
    switch layout {
    case .chained: (pageByteCount - 4) / 4
    case .flat(let first, let entryByteCount): (pageByteCount - first) / entryByteCount
    }
  }

  /// Pages that a directory of `count` references takes.
  public static func pageCount(_ layout: Layout, for count: Int) -> Int {
    layout == .chained ? max(1, (count + capacity(layout) - 1) / capacity(layout)) : 1
  }

  /// Writes `references` into `pages`, which are granted as `pageReferences`. The front-end's side.
  /// - Precondition: there are as many pages as ``pageCount(_:for:)`` says, and a flat directory is not too small.
  public static func write(
    _ references: [GrantReference], layout: Layout, into pages: [SharedBytes], grantedAs pageReferences: [GrantReference]
  ) {
    precondition(pages.count == pageCount(layout, for: references.count) && pageReferences.count == pages.count)
    precondition(layout == .chained || references.count <= capacity(layout), "more references than a flat directory has room for")
    for (number, page) in pages.enumerated() {
      let listed = references.dropFirst(number * capacity(layout)).prefix(capacity(layout))
      switch layout {
      case .chained:
        page.store32(number + 1 < pages.count ? pageReferences[number + 1].rawValue : 0, at: 0)
        for (index, reference) in listed.enumerated() { page.store32(reference.rawValue, at: 4 + index * 4) }
      case .flat(let first, let entryByteCount):
        for (index, reference) in listed.enumerated() {
          let place = first + index * entryByteCount
          if entryByteCount == 8 { page.store64(UInt64(reference.rawValue), at: place) } else { page.store32(reference.rawValue, at: place) }
        }
      }
    }
  }

  /// What is wrong with a directory that a peer wrote.
  public enum Fault: Error, Sendable, Equatable, CustomStringConvertible {
    /// The chain ends before all references were listed.
    case tooShort(listed: Int, wanted: Int)
    /// The chain goes on although all are listed.
    case tooLong(wanted: Int)
    /// A reference that cannot be one: 0, or more than 32 bits.
    case reference(index: Int, UInt64)
    /// A page of the directory comes twice.
    case loop(GrantReference)

    public var description: String {
      switch self {
      case .tooShort(let listed, let wanted): "the page directory ends after \(listed) references; \(wanted) were announced"
      case .tooLong(let wanted): "the page directory goes on after all \(wanted) references"
      case .reference(let index, let value): "entry \(index) of the page directory is \(value), which is no grant reference"
      case .loop(let reference): "the page directory comes back to page \(reference)"
      }
    }
  }

  /// Reads `count` references of a directory that begins in the page granted as `first`; each word is loaded once. The back-end's side.
  ///
  /// - Parameters:
  ///   - count: what the peer announced, which the caller has held against its own limit: no more pages are read than that takes.
  ///   - page: lends the bytes of a granted page; throws when it cannot be mapped.
  public static func read<Failure: Error>(
    _ count: Int, layout: Layout, from first: GrantReference, _ page: (GrantReference) throws(Failure) -> SharedBytes
  ) throws(Failure) -> Result<[GrantReference], Fault> {
    var references: [GrantReference] = []
    references.reserveCapacity(count)
    var next = first
    var seen: Set<GrantReference> = []
    repeat {
      guard seen.insert(next).inserted else { return .failure(.loop(next)) }
      let bytes = try page(next)
      let link = layout == .chained ? bytes.load32(at: 0) : 0
      for index in 0..<min(capacity(layout), count - references.count) {
        let value: UInt64 =
          switch layout {
          case .chained: UInt64(bytes.load32(at: 4 + index * 4))
          case .flat(let start, let entryByteCount):
            entryByteCount == 8 ? bytes.load64(at: start + index * 8) : UInt64(bytes.load32(at: start + index * 4))
          }
        guard value != 0, let reference = UInt32(exactly: value) else { return .failure(.reference(index: references.count, value)) }
        references.append(GrantReference(rawValue: reference))
      }
      if references.count == count { return link == 0 ? .success(references) : .failure(.tooLong(wanted: count)) }
      next = GrantReference(rawValue: link)
    } while next.rawValue != 0
    return .failure(.tooShort(listed: references.count, wanted: count))
  }
}
