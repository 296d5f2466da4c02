import SharedMemory
import SharedRing
import Testing
import XenInterface

/// Lists of grant references in pages that are granted themselves.
@Suite struct PageDirectoryTests {
  static let flat64 = PageDirectory.Layout.flat(first: 40, entryByteCount: 8)
  static let flat32 = PageDirectory.Layout.flat(first: 0, entryByteCount: 4)

  private struct Unmapped: Error {}

  /// Pages of a directory, granted as 100 and up, and how to reach them.
  private struct Pages {
    let bytes: [SharedBytes]
    var references: [GrantReference] { bytes.indices.map { GrantReference(rawValue: 100 + UInt32($0)) } }

    init(_ count: Int) throws {
      let region = try SharedRegion(anonymousByteCount: count * pageByteCount).bytes
      bytes = (0..<count).map { region.slice(at: $0 * pageByteCount, byteCount: pageByteCount) }
    }

    func page(_ reference: GrantReference) throws(Unmapped) -> SharedBytes {
      guard let index = references.firstIndex(of: reference) else { throw Unmapped() }
      return bytes[index]
    }
  }

  private func references(_ count: Int) -> [GrantReference] { (0..<count).map { GrantReference(rawValue: 7 + UInt32($0)) } }

  @Test(arguments: [1, 2, 1022, 1023, 1024, 2046, 2047, 5000])
  func aChainListsAsManyReferencesAsItTakesPages(count: Int) throws {
    let pages = try Pages(PageDirectory.pageCount(.chained, for: count))
    #expect(pages.bytes.count == (count + 1022) / 1023)
    PageDirectory.write(references(count), layout: .chained, into: pages.bytes, grantedAs: pages.references)
    #expect(try PageDirectory.read(count, layout: .chained, from: pages.references[0], pages.page).get() == references(count))
  }

  @Test(arguments: [(flat64, 1), (flat64, 507), (flat32, 1024)])
  func aFlatDirectoryIsOnePage(layout: PageDirectory.Layout, count: Int) throws {
    #expect(PageDirectory.capacity(layout) >= count)
    let pages = try Pages(1)
    PageDirectory.write(references(count), layout: layout, into: pages.bytes, grantedAs: pages.references)
    #expect(try PageDirectory.read(count, layout: layout, from: pages.references[0], pages.page).get() == references(count))
  }

  @Test func aChainThatEndsTooSoonGoesOnOrComesBackIsRefused() throws {
    let pages = try Pages(3)
    PageDirectory.write(references(3000), layout: .chained, into: pages.bytes, grantedAs: pages.references)
    func read(_ count: Int) throws -> PageDirectory.Fault? {
      if case .failure(let fault) = try PageDirectory.read(count, layout: .chained, from: pages.references[0], pages.page) { fault } else { nil }
    }
    #expect(try read(2000) == .tooLong(wanted: 2000))
    pages.bytes[1].store32(0, at: 0)
    #expect(try read(3000) == .tooShort(listed: 2046, wanted: 3000))
    pages.bytes[1].store32(100, at: 0)
    #expect(try read(3000) == .loop(GrantReference(rawValue: 100)))
    pages.bytes[1].store32(999, at: 0)
    #expect(throws: Unmapped.self) { try read(3000) }
    pages.bytes[0].store32(0, at: 400)
    #expect(try read(3000) == .reference(index: 99, 0))
  }

  @Test func anEntryOfMoreThan32BitsIsNoReference() throws {
    let pages = try Pages(1)
    PageDirectory.write(references(3), layout: Self.flat64, into: pages.bytes, grantedAs: pages.references)
    pages.bytes[0].store64(1 << 32, at: 48)
    guard case .failure(let fault) = try PageDirectory.read(3, layout: Self.flat64, from: pages.references[0], pages.page) else {
      Issue.record("the entry was taken")
      return
    }
    #expect(fault == .reference(index: 1, 1 << 32))
  }

  @Test func randomPagesNeverTrapAndNeverReadMoreThanWasAnnounced() throws {
    let pages = try Pages(4)
    var state: UInt64 = 3
    for _ in 0..<300 {
      state = state &* 6_364_136_223_846_793_005 &+ 1
      for page in pages.bytes { page.store32(98 + UInt32(truncatingIfNeeded: state >> 33) % 7, at: 0) }
      for place in 1..<20 { pages.bytes[0].store32(UInt32(truncatingIfNeeded: state >> UInt64(place)), at: place * 4) }
      let count = Int(state >> 40) % 4000
      var mapped = 0
      let result = try? PageDirectory.read(count, layout: .chained, from: pages.references[0]) { (reference) throws(Unmapped) in
        mapped += 1
        return try pages.page(reference)
      }
      #expect(mapped <= PageDirectory.pageCount(.chained, for: count) + 1)
      if case .success(let references) = result { #expect(references.count == count) }
    }
  }
}
