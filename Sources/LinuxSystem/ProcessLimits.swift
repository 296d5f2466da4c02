import Glibc
public import SystemPackage

/// Limits of this process (`getrlimit(2)`).
public enum ProcessLimits {
  /// Raises the number of descriptors that may be open to the most that is allowed without privilege, and returns it.
  @discardableResult
  public static func raiseOpenFileLimit() throws(Errno) -> Int {
    var limit = rlimit()
    // SAFETY: both calls get a local structure of the type that they expect.
    try check(unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit))
    limit.rlim_cur = limit.rlim_max
    try check(unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit))
    return Int(clamping: limit.rlim_cur)
  }
}
