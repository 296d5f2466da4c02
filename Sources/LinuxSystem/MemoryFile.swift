import CLinuxShims
import Glibc
public import SystemPackage

/// Anonymous files that can be mapped by several processes (`memfd_create`).
public enum MemoryFile {
  /// A zero-filled file of a fixed size: sealed so that nobody can shrink it under a mapping, grow it, or change the seals.
  public static func create(name: String, byteCount: Int) throws(Errno) -> OwnedDescriptor {
    let file = OwnedDescriptor(owning: try check(unsafe pvio_memfd_create(name, UInt32(PVIO_MFD_CLOEXEC | PVIO_MFD_ALLOW_SEALING))))
    try check(ftruncate(file.rawValue, byteCount))
    try check(pvio_add_seals(file.rawValue, requiredSeals))
    return file
  }

  /// Whether the file cannot change its size any more, and its size in bytes. A mapper that skips this can be killed by
  /// SIGBUS whenever the granter likes.
  public static func sealedByteCount(of file: borrowing OwnedDescriptor) throws(Errno) -> Int? {
    let seals = pvio_get_seals(file.rawValue)
    guard seals >= 0, seals & requiredSeals == requiredSeals else { return nil }
    var status = stat()
    try check(unsafe fstat(file.rawValue, &status))
    return Int(status.st_size)
  }

  /// The same file opened for reading only: the kernel refuses a writable mapping of it.
  public static func reopenReadOnly(_ file: borrowing OwnedDescriptor) throws(Errno) -> OwnedDescriptor {
    try OwnedDescriptor.open("/proc/self/fd/\(file.rawValue)", flags: O_RDONLY)
  }

  private static let requiredSeals = Int32(PVIO_SEAL_SHRINK | PVIO_SEAL_GROW | PVIO_SEAL_SEAL)
}
