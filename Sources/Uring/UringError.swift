import Glibc
public import SystemPackage

/// Why io_uring could not be set up, in words that say what to do.
public enum UringError: Error, Sendable, Equatable, CustomStringConvertible {
  /// `kernel.io_uring_disabled` forbids it, or a seccomp filter does (common in containers).
  case forbidden(sysctl: Int?)
  /// The kernel has no io_uring.
  case notSupported
  /// `RLIMIT_MEMLOCK` or memory is too small for the queues.
  case noMemory
  case system(operation: String, Errno)

  public var description: String {
    switch self {
    case .forbidden(let level?) where level > 0:
      "io_uring is forbidden here: sysctl kernel.io_uring_disabled is \(level); set it to 0, or run as a permitted user"
    case .forbidden:
      "io_uring is forbidden here, most likely by a seccomp filter of the container; allow io_uring_setup, io_uring_enter and io_uring_register"
    case .notSupported: "this kernel has no io_uring; pvio needs Linux 6.1 or newer"
    case .noMemory: "not enough lockable memory for io_uring; raise 'ulimit -l'"
    case .system(let operation, let errno): "\(operation): \(errno)"
    }
  }

  static func setup(_ errno: Errno) -> UringError {
    switch errno {
    case .notPermitted, .permissionDenied: .forbidden(sysctl: disabledSysctl())
    case .noFunction: .notSupported
    case .noMemory: .noMemory
    default: .system(operation: "io_uring_setup", errno)
    }
  }

  /// The value of `kernel.io_uring_disabled`, where the kernel has it.
  public static func disabledSysctl() -> Int? {
    // SAFETY: a literal path, and one byte read into a variable of one byte.
    let file = unsafe Glibc.open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { Glibc.close(file) }
    var digit: UInt8 = 0
    guard unsafe Glibc.read(file, &digit, 1) == 1, digit >= 48, digit <= 57 else { return nil }
    return Int(digit - 48)
  }
}
