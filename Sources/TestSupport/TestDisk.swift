import Glibc
import LinuxSystem
import Synchronization

/// An image file on a real disk, removed with this object. Not under /tmp, which is often in memory and has no direct I/O.
public final class TestDisk {
  public let path: String
  private static let lastNumber = Atomic<Int>(0)

  public init(byteCount: Int) throws {
    let number = Self.lastNumber.add(1, ordering: .relaxed).newValue
    path = "/var/tmp/pvio-block-test-\(getpid())-\(number).img"
    let file = try OwnedDescriptor.open(path, flags: O_RDWR | O_CREAT | O_EXCL)
    try check(ftruncate(file.rawValue, byteCount))
  }

  // SAFETY, here and below: the path is a terminated string for the length of the call.
  deinit { unsafe unlink(path) }

  public func setByteCount(_ byteCount: Int) throws { try check(unsafe truncate(path, byteCount)) }

  /// The file's bytes through the page cache, which direct I/O keeps true.
  public func bytes(at offset: Int, byteCount: Int) throws -> [UInt8] {
    let file = try OwnedDescriptor.open(path, flags: O_RDONLY)
    var bytes = [UInt8](repeating: 0, count: byteCount)
    // SAFETY: at most as many bytes as there is room for.
    let count = try check(unsafe pread(file.rawValue, &bytes, byteCount, offset))
    return Array(bytes.prefix(count))
  }

  /// Blocks of 512 bytes that the file occupies.
  public func occupiedBlockCount() throws -> Int {
    // SAFETY: the status is a local variable, written before the call returns.
    var status = stat()
    try check(unsafe stat(path, &status))
    return Int(status.st_blocks)
  }
}
