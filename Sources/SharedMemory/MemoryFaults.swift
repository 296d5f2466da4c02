import CLinuxShims

/// Survives the loss of pages of a mapping: its file was made shorter by somebody who holds it.
///
/// While this object lives, an access to a page that is gone finds zeros instead of ending the process (SIGBUS), and ``haveHappened`` says
/// so. The kernel's own accesses (io_uring) fail with `EFAULT` meanwhile. Thread-safe.
public final class MemoryFaults: Sendable {
  private let number: Int32
  private let bytes: SharedBytes

  /// Watches over all of `bytes`. Nil when too many mappings are watched already.
  public init?(watching bytes: SharedBytes) {
    let number = pvio_faults_watch(bytes.address, bytes.byteCount)
    guard number >= 0 else { return nil }
    self.number = number
    self.bytes = bytes
  }

  deinit { pvio_faults_forget(number) }

  /// Whether a page has vanished.
  public var haveHappened: Bool { pvio_faults_happened(number) != 0 }
}
