public import SharedMemory
public import XenInterface

/// Where the words of a version 2 grant table lie (`grant_entry_v2_t`, `grant_status_t`; xen/include/public/grant_table.h).
///
/// Each arena has its own stretch of entries, one an arena page, whose first reference is a multiple of 256; and the
/// status words for them, in a page of their own, which the mapper writes.
public enum GrantEntryLayout {
  public static let entryByteCount = 16
  public static let flagsOffset = 0
  public static let domainOffset = 2
  public static let frameOffset = 8
  public static let statusByteCount = 2
  /// Version 2 entries in one page.
  public static let entriesPerPage = 256

  /// `GTF_permit_access`, and the mask it is compared under (`GTF_type_mask`).
  public static let permitAccess: UInt16 = 1
  public static let typeMask: UInt16 = 3
  /// `GTF_readonly`.
  public static let readOnly: UInt16 = 4
  /// `GTF_reading` and `GTF_writing` of the status word.
  public static let reading: UInt16 = 8
  public static let writing: UInt16 = 16

  /// Bytes of entries for an arena of `pageCount` pages: whole pages.
  public static func entriesByteCount(pageCount: Int) -> Int { roundedToPages(pageCount * entryByteCount) }

  /// Bytes of status words for an arena of `pageCount` pages: whole pages.
  public static func statusByteCount(pageCount: Int) -> Int { roundedToPages(pageCount * statusByteCount) }

  private static func roundedToPages(_ byteCount: Int) -> Int { (byteCount + pageByteCount - 1) / pageByteCount * pageByteCount }
}

/// The three mappings an arena consists of.
public struct ArenaMemory: Sendable {
  /// The pages themselves.
  public var data: SharedBytes
  /// Version 2 entries: written by the granter, read-only for the mapper.
  public var entries: SharedBytes
  /// Status words: written by the mapper.
  public var status: SharedBytes
  /// Reference of page 0; page `n` is always granted as reference `firstReference + n`.
  public var firstReference: GrantReference
  public var pageCount: Int

  public init(data: SharedBytes, entries: SharedBytes, status: SharedBytes, firstReference: GrantReference, pageCount: Int) {
    precondition(data.byteCount >= pageCount * pageByteCount)
    precondition(entries.byteCount >= pageCount * GrantEntryLayout.entryByteCount)
    precondition(status.byteCount >= pageCount * GrantEntryLayout.statusByteCount)
    self.data = data
    self.entries = entries
    self.status = status
    self.firstReference = firstReference
    self.pageCount = pageCount
  }
}
