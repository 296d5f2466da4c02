import CLinuxShims
import Glibc
public import SystemPackage

/// What can be asked of a file by its name.
public enum RegularFile {
  /// Whether this process may run the file at `path`.
  public static func isExecutable(_ path: String) -> Bool {
    // SAFETY: the path is a terminated string for the length of the call.
    unsafe access(path, X_OK) == 0
  }

  /// Size of the regular file at `path` in bytes; nil when it is something else (a device, a directory).
  public static func byteCount(_ path: String) throws(Errno) -> UInt64? {
    var status = stat()
    // SAFETY: the kernel fills a structure of this very type; the path is a terminated string for the length of the call.
    try check(unsafe stat(path, &status))
    return status.st_mode & S_IFMT == S_IFREG ? UInt64(status.st_size) : nil
  }

  /// Whether an open descriptor is that of a regular file.
  public static func isRegular(_ descriptor: Int32) -> Bool {
    var status = stat()
    // SAFETY: the kernel fills a structure of this very type.
    return unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }
}
