import CLinuxShims
import Glibc
public import SystemPackage

/// A file descriptor with exactly one owner, closed when the owner goes away.
public struct OwnedDescriptor: ~Copyable, Sendable {
  /// The descriptor's number, valid as long as this value lives.
  public let rawValue: Int32

  /// Takes over `rawValue`: nobody else may close it afterwards.
  public init(owning rawValue: Int32) {
    precondition(rawValue >= 0, "not a descriptor: \(rawValue)")
    self.rawValue = rawValue
  }

  deinit { Glibc.close(rawValue) }

  /// Gives the descriptor up without closing it.
  public consuming func release() -> Int32 {
    let number = rawValue
    discard self
    return number
  }

  /// A second descriptor for the same open file (`F_DUPFD_CLOEXEC`).
  public func duplicate() throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(owning: try check(fcntl(rawValue, F_DUPFD_CLOEXEC, 0)))
  }

  /// Opens `path` (`open(2)`, always close-on-exec).
  public static func open(_ path: String, flags: Int32, mode: Int32 = 0o600) throws(Errno) -> OwnedDescriptor {
    // SAFETY: the path is a terminated string for the length of the call.
    OwnedDescriptor(owning: try check(unsafe pvio_open(path, flags | O_CLOEXEC, mode)))
  }

  /// Sets or clears `O_NONBLOCK`. It belongs to the open file, so whoever shares the file can undo it.
  public func setNonBlocking(_ enabled: Bool) throws(Errno) {
    let flags = try check(pvio_get_fd_flags(rawValue))
    _ = try check(pvio_set_fd_flags(rawValue, enabled ? flags | O_NONBLOCK : flags & ~O_NONBLOCK))
  }
}

/// The result of a system call, or the `errno` it left.
@discardableResult
public func check<Result: FixedWidthInteger & SignedInteger>(_ result: Result) throws(Errno) -> Result {
  if result < 0 { throw Errno.last }
  return result
}

extension Errno {
  /// What the calling thread's last failed system call left in `errno`.
  public static var last: Errno { Errno(rawValue: Glibc.errno) }
}
