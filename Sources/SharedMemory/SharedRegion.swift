import CLinuxShims
import Glibc
public import LinuxSystem
public import SystemPackage

/// One mapping of memory that another process can read or write, unmapped when the last user lets go.
///
/// Thread-safe: address and size never change. What the bytes hold is another matter: see ``SharedBytes``.
public final class SharedRegion: Sendable {
  public enum Access: Sendable { case readOnly, readWrite }

  /// Size of the mapping in bytes, a multiple of the page size.
  public let byteCount: Int
  public let access: Access
  @usableFromInline let address: UInt

  /// Maps the first `byteCount` bytes of `file`. The file must be sealed against shrinking (``MemoryFile``), else its owner can kill us.
  public init(mapping file: borrowing OwnedDescriptor, byteCount: Int, access: Access) throws(Errno) {
    precondition(byteCount > 0)
    let protection = access == .readOnly ? PROT_READ : PROT_READ | PROT_WRITE
    let pointer = unsafe mmap(nil, byteCount, protection, MAP_SHARED | Int32(MAP_POPULATE), file.rawValue, 0)
    guard let pointer = unsafe pointer, unsafe pointer != MAP_FAILED else { throw Errno.last }
    self.address = UInt(bitPattern: pointer)
    self.byteCount = byteCount
    self.access = access
  }

  /// Maps `byteCount` bytes of `file` from `fileOffset` on, a multiple of the page size, without touching them: a guest's memory. Whoever holds
  /// the file can shrink it unless it is sealed: see ``MemoryFaults``.
  public init(mappingGuestMemory file: borrowing OwnedDescriptor, fileOffset: Int, byteCount: Int) throws(Errno) {
    precondition(byteCount > 0 && fileOffset >= 0)
    let flags = MAP_SHARED | Int32(MAP_NORESERVE)
    let pointer = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, file.rawValue, fileOffset)
    guard let pointer = unsafe pointer, unsafe pointer != MAP_FAILED else { throw Errno.last }
    self.address = UInt(bitPattern: pointer)
    self.byteCount = byteCount
    self.access = .readWrite
  }

  /// Maps single pages of `file`, given by page number, one after the other into one contiguous range: how a multi-page
  /// ring whose pages lie apart in the granter's memory becomes one ring here.
  public init(mappingPages pages: [Int], of file: borrowing OwnedDescriptor, access: Access) throws(Errno) {
    let protection = access == .readOnly ? PROT_READ : PROT_READ | PROT_WRITE
    let (address, total) = try Self.mapSideBySide(pages.map { UInt64($0 * 4096) }, of: file.rawValue, protection: protection)
    self.address = address
    self.byteCount = total
    self.access = access
  }

  private static func mapSideBySide(_ offsets: [UInt64], of file: Int32, protection: Int32) throws(Errno) -> (address: UInt, byteCount: Int) {
    precondition(!offsets.isEmpty)
    let pageSize = 4096
    let total = offsets.count * pageSize
    let reserved = unsafe mmap(nil, total, PROT_NONE, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
    guard let reserved = unsafe reserved, unsafe reserved != MAP_FAILED else { throw Errno.last }
    for (index, offset) in offsets.enumerated() {
      // SAFETY: the target lies inside the range reserved above, which nothing else uses yet.
      let target = unsafe reserved + index * pageSize
      let result = unsafe mmap(target, pageSize, protection, MAP_SHARED | Int32(MAP_FIXED), file, off_t(truncatingIfNeeded: offset))
      if unsafe result == MAP_FAILED {
        let failure = Errno.last
        unsafe munmap(reserved, total)
        throw failure
      }
    }
    return (UInt(bitPattern: reserved), total)
  }

  /// Maps what a device offers at `offset`, such as pages that another domain has granted. The offset's meaning, and what can fail, are the device's.
  public init(mappingDevice device: borrowing OwnedDescriptor, offset: UInt64, byteCount: Int, access: Access) throws(Errno) {
    precondition(byteCount > 0)
    let protection = access == .readOnly ? PROT_READ : PROT_READ | PROT_WRITE
    let pointer = unsafe mmap(nil, byteCount, protection, MAP_SHARED, device.rawValue, off_t(truncatingIfNeeded: offset))
    guard let pointer = unsafe pointer, unsafe pointer != MAP_FAILED else { throw Errno.last }
    self.address = UInt(bitPattern: pointer)
    self.byteCount = byteCount
    self.access = access
  }

  /// Maps a page of the device at each of `offsets`, one after the other into one contiguous range, for reading and writing.
  public init(mappingDevicePages offsets: [UInt64], of device: borrowing OwnedDescriptor) throws(Errno) {
    let (address, total) = try Self.mapSideBySide(offsets, of: device.rawValue, protection: PROT_READ | PROT_WRITE)
    self.address = address
    self.byteCount = total
    self.access = .readWrite
  }

  /// Maps zeroed memory of this process alone, of which the system provides a page when it is first written.
  public init(anonymousByteCount byteCount: Int) throws(Errno) {
    precondition(byteCount > 0)
    let flags = MAP_PRIVATE | Int32(MAP_ANONYMOUS) | Int32(MAP_NORESERVE)
    let pointer = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0)
    guard let pointer = unsafe pointer, unsafe pointer != MAP_FAILED else { throw Errno.last }
    // Large pages where the system has them: random access to much memory otherwise spends its time on address translation.
    _ = unsafe madvise(pointer, byteCount, Int32(MADV_HUGEPAGE))
    self.address = UInt(bitPattern: pointer)
    self.byteCount = byteCount
    self.access = .readWrite
  }

  deinit {
    // SAFETY: the range was mapped by an initialiser, and every SharedBytes into it holds a reference to this object.
    unsafe munmap(UnsafeMutableRawPointer(bitPattern: address), byteCount)
  }

  /// All bytes of the region.
  public var bytes: SharedBytes { SharedBytes(region: self, offset: 0, byteCount: byteCount) }
}
