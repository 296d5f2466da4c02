import LinuxSystem
import SharedMemory
import SystemPackage
import Testing
import XenInterface
import XenPlatform

/// The seals that make sharing a file with a hostile process safe.
@Suite struct ArenaFilesTests {
  @Test(arguments: [GrantAccess.readOnly, .readWrite])
  func whatAGranterMakesPassesTheCheck(access: GrantAccess) throws {
    let (files, mappings) = try ArenaFiles.make(access: access, pageCount: 300)
    try files.check(access: access, pageCount: 300)
    #expect(mappings.data.byteCount == 300 * pageByteCount)
    #expect(mappings.entries.byteCount == 2 * pageByteCount)
    #expect(mappings.status.byteCount == pageByteCount)
  }

  @Test func nobodyCanMapEntriesForWritingNotEvenThroughProc() throws {
    let (files, _) = try ArenaFiles.make(access: .readOnly, pageCount: 1)
    let restricted = try files.restrictedForMapper(access: .readOnly)
    for file in [restricted.entries, restricted.data] {
      #expect(throws: Errno.permissionDenied) { try SharedRegion(mapping: file.descriptor, byteCount: pageByteCount, access: .readWrite) }
      let again = try OwnedDescriptor.open("/proc/self/fd/\(file.rawValue)", flags: 2)
      #expect(throws: Errno.notPermitted) { try SharedRegion(mapping: again, byteCount: pageByteCount, access: .readWrite) }
    }
  }

  @Test func aFileOfTheWrongSizeIsRefused() throws {
    let (files, _) = try ArenaFiles.make(access: .readWrite, pageCount: 4)
    for pageCount in [3, 5, 1 << 20] { #expect(throws: PlatformError.self) { try files.check(access: .readWrite, pageCount: pageCount) } }
  }

  @Test func aFileThatCanShrinkIsRefused() throws {
    var (files, _) = try ArenaFiles.make(access: .readWrite, pageCount: 1)
    let unsealed = SharedDescriptor(try MemoryFile.createUnsealed(name: "test", byteCount: pageByteCount))
    for path in [\ArenaFiles.data, \ArenaFiles.entries, \ArenaFiles.status] {
      let good = files[keyPath: path]
      files[keyPath: path] = unsealed
      #expect(throws: PlatformError.self) { try files.check(access: .readWrite, pageCount: 1) }
      files[keyPath: path] = good
    }
    try files.check(access: .readWrite, pageCount: 1)
  }

  @Test func entriesOrReadOnlyPagesThatOthersCouldWriteAreRefused() throws {
    let (files, _) = try ArenaFiles.make(access: .readWrite, pageCount: 1)
    let writable = SharedDescriptor(try MemoryFile.create(name: "test", byteCount: pageByteCount))
    #expect(throws: PlatformError.self) {
      try ArenaFiles(data: files.data, entries: writable, status: files.status).check(access: .readWrite, pageCount: 1)
    }
    #expect(throws: PlatformError.self) { try files.check(access: .readOnly, pageCount: 1) }
  }

  @Test func whatIsNotAMemoryFileIsRefused() throws {
    let (files, _) = try ArenaFiles.make(access: .readWrite, pageCount: 1)
    let pair = try UnixSocket.pair(.stream)
    let impostors = [
      SharedDescriptor(try OwnedDescriptor.open("/dev/zero", flags: 2)), SharedDescriptor(try OwnedDescriptor.open("/tmp", flags: 0)),
      SharedDescriptor(try pair.first.duplicate()), SharedDescriptor(try EventDescriptor.create()),
    ]
    for impostor in impostors {
      #expect(throws: PlatformError.self) {
        try ArenaFiles(data: impostor, entries: files.entries, status: files.status).check(access: .readWrite, pageCount: 1)
      }
    }
  }
}
