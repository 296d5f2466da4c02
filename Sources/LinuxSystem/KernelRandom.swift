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

  /// Fills `byteCount` bytes at `address` with random bytes: memory of this process that the caller keeps mapped, a peer's pages included,
  /// because only the kernel writes there. Allocates nothing.
  public static func fill(address: UInt, byteCount: Int) {
    var done = 0
    while done < byteCount {
      // SAFETY: the caller lends this range for the length of the call; the kernel checks that it is mapped and writes no further.
      let got = unsafe pvio_getrandom(UnsafeMutableRawPointer(bitPattern: address + UInt(done)), byteCount - done)
      if got > 0 { done += got } else { precondition(errno == EINTR, "the kernel cannot put random bytes there: errno \(errno)") }
    }
  }
}
