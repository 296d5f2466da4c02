import CLinuxShims
import Glibc
public import SystemPackage

/// What the system says of a file or device that may back a disk, and the lock that keeps others off it.
public struct DiskFile: Sendable, Equatable {
  public enum Kind: Sendable, Equatable { case regular, blockDevice, directory, other }

  public var kind: Kind
  /// Size in bytes; of a block device what the device says (`BLKGETSIZE64`).
  public var byteCount: UInt64 = 0
  /// Smallest transfer in bytes (`BLKSSZGET`); 512 for files.
  public var sectorByteCount = 512
  /// Size in bytes below which a write costs a read first (`BLKPBSZGET`, `st_blksize`).
  public var physicalSectorByteCount = 512
  /// What `O_DIRECT` asks of memory and of offsets, in bytes; 0: it is not supported, or the kernel cannot say (`STATX_DIOALIGN`).
  public var directMemoryAlignment = 0
  public var directOffsetAlignment = 0

  /// Looks at an open file, which may be open as a path only.
  public init(inspecting descriptor: borrowing OwnedDescriptor) throws(Errno) {
    var status = stat()
    // SAFETY: the kernel fills a structure of this very type.
    try check(unsafe fstat(descriptor.rawValue, &status))
    switch status.st_mode & S_IFMT {
    case S_IFREG:
      kind = .regular
      byteCount = UInt64(status.st_size)
      physicalSectorByteCount = max(512, Int(status.st_blksize))
    case S_IFBLK: kind = .blockDevice
    case S_IFDIR: kind = .directory
    default: kind = .other
    }
  }

  /// As ``init(inspecting:)`` for a file that is open for reading, with size and alignments of devices.
  public init(measuring descriptor: borrowing OwnedDescriptor) throws(Errno) {
    try self.init(inspecting: descriptor)
    if kind == .blockDevice {
      var logical: Int32 = 0
      var physical: UInt32 = 0
      // SAFETY: each call writes one number of the type that the shim declares.
      try check(unsafe pvio_block_device_byte_count(descriptor.rawValue, &byteCount))
      try check(unsafe pvio_block_device_sector_size(descriptor.rawValue, &logical))
      try check(unsafe pvio_block_device_physical_sector_size(descriptor.rawValue, &physical))
      sectorByteCount = Int(logical)
      physicalSectorByteCount = Int(physical)
    }
    var memory: UInt32 = 0
    var offset: UInt32 = 0
    // SAFETY: as above; both are left alone when the call fails.
    if unsafe pvio_direct_io_alignment(descriptor.rawValue, &memory, &offset) == 0 {
      directMemoryAlignment = Int(memory)
      directOffsetAlignment = Int(offset)
    }
  }

  /// Looks at what `path` names without opening it, which could block or do something.
  public init(at path: String) throws(Errno) {
    try self.init(inspecting: try OwnedDescriptor.open(path, flags: Int32(PVIO_O_PATH)))
  }

  /// Opens a file or block device; `direct` goes around the page cache, `exclusive` refuses a block device that is mounted
  /// (`EBUSY`) and stays so for ``patienceMilliseconds``. Throws `EINVAL` when the file system has no direct I/O.
  public static func open(_ path: String, forWriting: Bool, direct: Bool, exclusive: Bool) throws(Errno) -> OwnedDescriptor {
    var flags = forWriting ? O_RDWR : O_RDONLY
    if direct { flags |= Int32(PVIO_O_DIRECT) }
    if exclusive { flags |= O_EXCL }
    return try patiently(while: .resourceBusy) { () throws(Errno) in try OwnedDescriptor.open(path, flags: flags) }
  }

  /// Locks the file against everybody else who locks (`flock`), until it is closed. Throws `EWOULDBLOCK` when it is locked already, and
  /// stays so for ``patienceMilliseconds``.
  public static func lock(_ descriptor: borrowing OwnedDescriptor, shared: Bool) throws(Errno) {
    let number = descriptor.rawValue
    try patiently(while: .wouldBlock) { () throws(Errno) in _ = try check(flock(number, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB)) }
  }

  /// How long a file that somebody else has is waited for: what a process that has ended had under way keeps its files for a moment.
  public static let patienceMilliseconds = 2000

  private static func patiently<Result: ~Copyable>(while busy: Errno, _ attempt: () throws(Errno) -> Result) throws(Errno) -> Result {
    for _ in 0..<patienceMilliseconds / 10 {
      do throws(Errno) { return try attempt() } catch { if error != busy { throw error } }
      usleep(10_000)
    }
    return try attempt()
  }

  /// Goes around the page cache, or through it again, from the next transfer on (`O_DIRECT`).
  public static func setDirect(_ enabled: Bool, _ descriptor: borrowing OwnedDescriptor) throws(Errno) {
    let flags = try check(pvio_get_fd_flags(descriptor.rawValue))
    try check(pvio_set_fd_flags(descriptor.rawValue, enabled ? flags | Int32(PVIO_O_DIRECT) : flags & ~Int32(PVIO_O_DIRECT)))
  }

  /// Mode of `fallocate` that makes a range read as zeros and frees it (`FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE`).
  public static let punchHoleMode: Int32 = 3
  /// Mode of `fallocate` that makes a range read as zeros and keeps its space (`FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE`).
  public static let zeroRangeMode: Int32 = 0x11

  /// Whether the file system can punch holes into the file; tried behind its end, where there is nothing to lose.
  public static func canPunchHoles(_ descriptor: borrowing OwnedDescriptor, behind byteCount: UInt64) -> Bool {
    let start = (byteCount + 0xF_FFFF) & ~0xF_FFFF
    return pvio_fallocate(descriptor.rawValue, punchHoleMode, Int64(start), 4096) == 0
  }
}
