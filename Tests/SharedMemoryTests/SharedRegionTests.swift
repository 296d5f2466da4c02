import Glibc
import LinuxSystem
import SharedMemory
import SystemPackage
import Testing
import XenInterface

@Suite struct SharedRegionTests {
  @Test func twoMappingsOfAFileSeeEachOthersWrites() throws {
    let file = try MemoryFile.create(name: "memory-test", byteCount: pageByteCount)
    let first = try SharedRegion(mapping: file, byteCount: pageByteCount, access: .readWrite).bytes
    let second = try SharedRegion(mapping: file, byteCount: pageByteCount, access: .readOnly).bytes
    first.store32(0x600D, at: 12)
    #expect(second.load32(at: 12) == 0x600D)
    #expect(first.isWritable && !second.isWritable)
  }

  @Test func aMappingOutlivesTheDescriptorItWasMadeFrom() throws {
    #expect(try makePages().load64(at: 0) == 0)
  }

  @Test func scatteredPagesBecomeOneContiguousRange() throws {
    let file = try MemoryFile.create(name: "memory-test", byteCount: 8 * pageByteCount)
    let whole = try SharedRegion(mapping: file, byteCount: 8 * pageByteCount, access: .readWrite).bytes
    for page in 0..<8 { whole.store32(UInt32(page), at: page * pageByteCount) }
    let pages = [6, 1, 3, 0]
    let scattered = try SharedRegion(mappingPages: pages, of: file, access: .readWrite).bytes
    #expect(scattered.byteCount == 4 * pageByteCount)
    #expect((0..<4).map { scattered.load32(at: $0 * pageByteCount) } == [6, 1, 3, 0])
    // A record that crosses from one page to the next lands at the end of one and the start of another page of the file.
    scattered.copyIn([1, 2, 3, 4], at: pageByteCount - 2)
    #expect(whole.copyOut(at: 7 * pageByteCount - 2, byteCount: 2) == [1, 2])
    #expect(whole.copyOut(at: pageByteCount, byteCount: 2) == [3, 4])
  }

  @Test func aPageMayBeMappedTwice() throws {
    let file = try MemoryFile.create(name: "memory-test", byteCount: 2 * pageByteCount)
    let bytes = try SharedRegion(mappingPages: [1, 1], of: file, access: .readWrite).bytes
    bytes.store32(5, at: 0)
    #expect(bytes.load32(at: pageByteCount) == 5)
  }

  @Test func aFileThatIsNoMemoryCannotBeMapped() throws {
    let pipe = try EventDescriptor.create()
    #expect(throws: Errno.self) { _ = try SharedRegion(mapping: pipe, byteCount: pageByteCount, access: .readOnly) }
    #expect(throws: Errno.self) { _ = try SharedRegion(mappingPages: [0], of: pipe, access: .readOnly) }
  }

  // MARK: Read-only memory

  @Test func theKernelRefusesAWritableMappingOfAReadOnlyDescriptor() throws {
    let file = try MemoryFile.create(name: "memory-test", byteCount: pageByteCount)
    let readOnly = try MemoryFile.reopenReadOnly(file)
    #expect(throws: Errno.permissionDenied) { _ = try SharedRegion(mapping: readOnly, byteCount: pageByteCount, access: .readWrite) }
    #expect(throws: Errno.permissionDenied) { _ = try SharedRegion(mappingPages: [0], of: readOnly, access: .readWrite) }
    let source = try SharedRegion(mapping: file, byteCount: pageByteCount, access: .readWrite).bytes
    let bytes = try SharedRegion(mapping: readOnly, byteCount: pageByteCount, access: .readOnly).bytes
    source.store8(3, at: 0)
    #expect(bytes.load8(at: 0) == 3)
  }

  @Test func aStoreIntoAReadOnlyMappingKillsTheWriterAndChangesNothing() async {
    await #expect(processExitsWith: .signal(SIGSEGV)) {
      // The trap handler of the test runner would turn the signal into a long report.
      signal(SIGSEGV, SIG_DFL)
      let file = try MemoryFile.create(name: "memory-test", byteCount: pageByteCount)
      let bytes = try SharedRegion(mapping: file, byteCount: pageByteCount, access: .readOnly).bytes
      bytes.store8(1, at: 0)
    }
  }

  // MARK: Sealing

  @Test func aMemoryFileCannotChangeItsSizeOrLoseItsSeals() throws {
    let file = try MemoryFile.create(name: "memory-test", byteCount: 3 * pageByteCount)
    #expect(try MemoryFile.sealedByteCount(of: file) == 3 * pageByteCount)
    #expect(ftruncate(file.rawValue, pageByteCount) == -1)
    #expect(ftruncate(file.rawValue, 4 * pageByteCount) == -1)
    #expect(try MemoryFile.sealedByteCount(of: file) == 3 * pageByteCount)
  }

  @Test func aFileThatItsOwnerCanShrinkIsRecognised() throws {
    let path = "/tmp/pvio-memory-test-\(getpid())"
    let file = try OwnedDescriptor.open(path, flags: O_RDWR | O_CREAT | O_EXCL)
    defer { unsafe _ = unlink(path) }
    #expect(ftruncate(file.rawValue, pageByteCount) == 0)
    #expect(try MemoryFile.sealedByteCount(of: file) == nil)
  }
}
