public import SharedMemory
public import XenInterface

/// Where the words of a version 2 grant table lie (`grant_entry_v2_t`, `grant_status_t`; xen/include/public/grant_table.h).
///
/// Each arena has its own stretch of entries, one an arena page, whose first reference is a multiple of 256; and the
/// status words for them, in a page of their own, which the mapper writes.
public enum GrantEntryLayout {
  @inlinable public static var entryByteCount: Int { GrantTableLimits.entryByteCount }
  public static let flagsOffset = 0
  public static let domainOffset = 2
  public static let frameOffset = 8
  @inlinable public static var statusByteCount: Int { GrantTableLimits.statusByteCount }
  /// Version 2 entries in one page.
  @inlinable public static var entriesPerPage: Int { GrantTableLimits.entriesPerPage }

  /// `GTF_permit_access`, and the mask it is compared under (`GTF_type_mask`).
  @inlinable public static var permitAccess: UInt16 { GrantEntryFlags.permitAccess.rawValue }
  @inlinable public static var typeMask: UInt16 { GrantEntryFlags.typeMask.rawValue }
  /// `GTF_readonly`.
  @inlinable public static var readOnly: UInt16 { GrantEntryFlags.readOnly.rawValue }
  /// `GTF_reading` and `GTF_writing` of the status word.
  @inlinable public static var reading: UInt16 { GrantEntryFlags.reading.rawValue }
  @inlinable public static var writing: UInt16 { GrantEntryFlags.writing.rawValue }

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
