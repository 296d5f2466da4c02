import CLinuxShims
public import SystemPackage

/// Time since boot in nanoseconds, without allocation or a system call (`CLOCK_MONOTONIC` by the vDSO).
public enum MonotonicClock {
  public static var nowNanoseconds: UInt64 { pvio_monotonic_nanoseconds() }
}

/// Microseconds since 1970-01-01 UTC, for records that people read; it may jump (`CLOCK_REALTIME` by the vDSO).
public enum WallClock {
  public static var unixMicroseconds: UInt64 { pvio_unix_microseconds() }
}

/// Where the calling thread may run.
public enum ThreadPlacement {
  /// Binds the calling thread to one processor (0-based).
  public static func pin(toProcessor processor: Int) throws(Errno) {
    try check(pvio_pin_to_cpu(Int32(processor)))
  }
}
