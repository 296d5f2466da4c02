import CLinuxShims
import Glibc

/// Random bytes of the kernel (getrandom(2)).
public enum KernelRandom {
  /// `count` random bytes, fit for keys. Waits, once after the machine has started, until the kernel has collected enough.
  public static func bytes(count: Int) -> [UInt8] {
    // SAFETY: the kernel writes at most what is left of the buffer, which lives for the length of the call.
    unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while initialized < count {
        let got = unsafe pvio_getrandom(buffer.baseAddress! + initialized, count - initialized)
        if got > 0 { initialized += got } else { precondition(errno == EINTR, "the kernel has no random bytes: errno \(errno)") }
      }
    }
  }
}
