import Glibc
import LinuxSystem
import Synchronization

/// An image file on a real disk, removed with this object. Not under /tmp, which is often in memory and has no direct I/O.
final class TestImage {
  let path: String
  private static let lastNumber = Atomic<Int>(0)

  init(byteCount: Int) throws {
    path = "/var/tmp/pvio-block-virtio-test-\(getpid())-\(Self.lastNumber.add(1, ordering: .relaxed).newValue).img"
    let file = try OwnedDescriptor.open(path, flags: O_RDWR | O_CREAT | O_EXCL)
    try check(ftruncate(file.rawValue, byteCount))
  }

  deinit { unsafe unlink(path) }

  func setByteCount(_ byteCount: Int) throws { try check(unsafe truncate(path, byteCount)) }
}
