import CLinuxShims
import Glibc
public import SystemPackage

/// Anonymous files that can be mapped by several processes (`memfd_create`).
public enum MemoryFile {
  /// A zero-filled file of a fixed size: sealed so that nobody can shrink it under a mapping, grow it, or change the seals.
  public static func create(name: String, byteCount: Int) throws(Errno) -> OwnedDescriptor {
    let file = try createUnsealed(name: name, byteCount: byteCount)
    try seal(file, againstNewWriters: false)
    return file
  }

  /// A zero-filled file that its maker must ``seal(_:againstNewWriters:)`` before showing it to anybody.
  public static func createUnsealed(name: String, byteCount: Int) throws(Errno) -> OwnedDescriptor {
    // SAFETY: the name is a terminated string for the length of the call.
    let file = OwnedDescriptor(owning: try check(unsafe pvio_memfd_create(name, UInt32(PVIO_MFD_CLOEXEC | PVIO_MFD_ALLOW_SEALING))))
    try check(ftruncate(file.rawValue, byteCount))
    return file
  }

  /// Fixes the file's size for good. With `againstNewWriters` only mappings that exist already can write from now on:
  /// a descriptor opened read-only is not enough for that, because its holder can open the file again through `/proc`.
  public static func seal(_ file: borrowing OwnedDescriptor, againstNewWriters: Bool) throws(Errno) {
    try check(pvio_add_seals(file.rawValue, requiredSeals | (againstNewWriters ? newWriterSeal : 0)))
  }

  /// Whether the file cannot change its size any more, and its size in bytes. A mapper that skips this can be killed by
  /// SIGBUS whenever the granter likes. Nil too for files on huge pages, which can run out under a mapping.
  public static func sealedByteCount(of file: borrowing OwnedDescriptor) throws(Errno) -> Int? {
    let seals = pvio_get_seals(file.rawValue)
    guard seals >= 0, seals & requiredSeals == requiredSeals else { return nil }
    guard try check(pvio_is_on_tmpfs(file.rawValue)) == 1 else { return nil }
    var status = stat()
    // SAFETY: the kernel fills a structure of this very type.
    try check(unsafe fstat(file.rawValue, &status))
    return Int(status.st_size)
  }

  /// Size of any file in bytes.
  public static func byteCount(of file: borrowing OwnedDescriptor) throws(Errno) -> Int {
    var status = stat()
    // SAFETY: the kernel fills a structure of this very type.
    try check(unsafe fstat(file.rawValue, &status))
    return Int(status.st_size)
  }

  /// Whether nobody can make the file smaller any more.
  public static func cannotShrink(_ file: borrowing OwnedDescriptor) -> Bool {
    let seals = pvio_get_seals(file.rawValue)
    return seals >= 0 && seals & Int32(PVIO_SEAL_SHRINK) != 0
  }

  /// Whether a descriptor that somebody sent is a memory file at all. Never waits, whatever it is; neither does closing a memory file.
  public static func isMemoryFile(_ descriptor: Int32) -> Bool { pvio_get_seals(descriptor) >= 0 }

  /// Whether only mappings that existed when the file was sealed can write to it.
  public static func refusesNewWriters(_ file: borrowing OwnedDescriptor) -> Bool {
    let seals = pvio_get_seals(file.rawValue)
    return seals >= 0 && seals & newWriterSeal != 0
  }

  /// The same file opened for reading only: the kernel refuses a writable mapping of it.
  public static func reopenReadOnly(_ file: borrowing OwnedDescriptor) throws(Errno) -> OwnedDescriptor {
    try OwnedDescriptor.open("/proc/self/fd/\(file.rawValue)", flags: O_RDONLY)
  }

  private static let requiredSeals = Int32(PVIO_SEAL_SHRINK | PVIO_SEAL_GROW | PVIO_SEAL_SEAL)
  /// `F_SEAL_FUTURE_WRITE`, Linux 5.1.
  private static let newWriterSeal = Int32(PVIO_SEAL_FUTURE_WRITE)
}
