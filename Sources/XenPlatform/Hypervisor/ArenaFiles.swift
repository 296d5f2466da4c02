public import LinuxSystem
public import SharedMemory
import SystemPackage
public import XenInterface

/// The three files behind a grant arena: the pages, the grant entries, the status words.
///
/// Their seals are the isolation: sizes are fixed, nobody but the granter's first mapping can write the entries, and nobody
/// but it can write the pages of a read-only arena, whatever descriptors they get hold of.
public struct ArenaFiles: Sendable {
  public var data: SharedDescriptor
  public var entries: SharedDescriptor
  public var status: SharedDescriptor

  public init(data: SharedDescriptor, entries: SharedDescriptor, status: SharedDescriptor) {
    self.data = data
    self.entries = entries
    self.status = status
  }

  /// The granter's mappings of the three files.
  public struct Mappings: Sendable {
    public var data: SharedBytes
    public var entries: SharedBytes
    public var status: SharedBytes

    /// What ``GrantArena`` is made of, once the references are known.
    public func memory(firstReference: GrantReference, pageCount: Int) -> ArenaMemory {
      ArenaMemory(data: data, entries: entries, status: status, firstReference: firstReference, pageCount: pageCount)
    }
  }

  /// Makes zeroed files for `pageCount` pages, maps them for the granter, and seals them.
  public static func make(access: GrantAccess, pageCount: Int) throws(PlatformError) -> (files: ArenaFiles, mappings: Mappings) {
    do throws(Errno) {
      let data = try make("pvio-arena", pageCount * pageByteCount, .readWrite, exclusive: access == .readOnly)
      let entries = try make("pvio-entries", GrantEntryLayout.entriesByteCount(pageCount: pageCount), .readWrite, exclusive: true)
      let status = try make("pvio-status", GrantEntryLayout.statusByteCount(pageCount: pageCount), .readOnly, exclusive: false)
      return (
        ArenaFiles(data: data.file, entries: entries.file, status: status.file),
        Mappings(data: data.bytes, entries: entries.bytes, status: status.bytes)
      )
    } catch {
      throw .system(operation: "make a grant arena of \(pageCount) pages", error)
    }
  }

  /// Checks what a granter handed over: sizes and seals. Throws `refused` with what is wrong.
  public func check(access: GrantAccess, pageCount: Int) throws(PlatformError) {
    try check("data", data, byteCount: pageCount * pageByteCount, exclusive: access == .readOnly)
    try check("entries", entries, byteCount: GrantEntryLayout.entriesByteCount(pageCount: pageCount), exclusive: true)
    try check("status", status, byteCount: GrantEntryLayout.statusByteCount(pageCount: pageCount), exclusive: false)
  }

  /// What the mapper may be given: entries, and the pages of a read-only arena, opened for reading only.
  public func restrictedForMapper(access: GrantAccess) throws(PlatformError) -> ArenaFiles {
    do throws(Errno) {
      var result = self
      if access == .readOnly { result.data = SharedDescriptor(try MemoryFile.reopenReadOnly(data.descriptor)) }
      result.entries = SharedDescriptor(try MemoryFile.reopenReadOnly(entries.descriptor))
      return result
    } catch {
      throw .system(operation: "open an arena for its mapper", error)
    }
  }

  /// Maps the files as the mapper: checks the seals again, since it is the mapper who dies when they are missing.
  public func openAsMapper(firstReference: GrantReference, access: GrantAccess, pageCount: Int) throws(PlatformError) -> ForeignArena {
    try check(access: access, pageCount: pageCount)
    do throws(Errno) {
      let data = try SharedRegion(
        mapping: data.descriptor, byteCount: pageCount * pageByteCount, access: access == .readOnly ? .readOnly : .readWrite)
      let entries = try SharedRegion(
        mapping: entries.descriptor, byteCount: GrantEntryLayout.entriesByteCount(pageCount: pageCount), access: .readOnly)
      let status = try SharedRegion(
        mapping: status.descriptor, byteCount: GrantEntryLayout.statusByteCount(pageCount: pageCount), access: .readWrite)
      let memory = ArenaMemory(
        data: data.bytes, entries: entries.bytes, status: status.bytes, firstReference: firstReference, pageCount: pageCount)
      return ForeignArena(memory: memory, access: access, file: self.data)
    } catch {
      throw .system(operation: "map an arena of \(pageCount) pages", error)
    }
  }

  private static func make(
    _ name: String, _ byteCount: Int, _ access: SharedRegion.Access, exclusive: Bool
  ) throws(Errno) -> (file: SharedDescriptor, bytes: SharedBytes) {
    let file = try MemoryFile.createUnsealed(name: name, byteCount: byteCount)
    // Mapped before it is sealed: the seal against writers spares only the mappings that exist.
    let region = try SharedRegion(mapping: file, byteCount: byteCount, access: access)
    try MemoryFile.seal(file, againstNewWriters: exclusive)
    return (SharedDescriptor(file), region.bytes)
  }

  private func check(_ role: String, _ file: SharedDescriptor, byteCount: Int, exclusive: Bool) throws(PlatformError) {
    let operation = "use of the arena's \(role) file"
    let size: Int?
    do {
      size = try MemoryFile.sealedByteCount(of: file.descriptor)
    } catch {
      throw .system(operation: operation, error)
    }
    guard let size else { throw .refused(operation: operation, reason: "it is not a memory file sealed against changes of its size") }
    guard size == byteCount else { throw .refused(operation: operation, reason: "it has \(size) bytes instead of \(byteCount)") }
    if exclusive, !MemoryFile.refusesNewWriters(file.descriptor) {
      throw .refused(operation: operation, reason: "it is not sealed against new writers")
    }
  }
}
