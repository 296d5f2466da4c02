import BlockEngine
import Glibc
import LinuxSystem
import Synchronization

/// An image file on a real disk, removed with this object. Not under /tmp, which is often in memory and has no direct I/O.
final class TestDisk {
  let path: String
  private static let lastNumber = Atomic<Int>(0)

  init(byteCount: Int) throws {
    let number = Self.lastNumber.add(1, ordering: .relaxed).newValue
    path = "/var/tmp/pvio-block-test-\(getpid())-\(number).img"
    let file = try OwnedDescriptor.open(path, flags: O_RDWR | O_CREAT | O_EXCL)
    try check(ftruncate(file.rawValue, byteCount))
  }

  deinit { unsafe unlink(path) }

  func setByteCount(_ byteCount: Int) throws { try check(unsafe truncate(path, byteCount)) }

  /// The file's bytes through the page cache, which direct I/O keeps true.
  func bytes(at offset: Int, byteCount: Int) throws -> [UInt8] {
    let file = try OwnedDescriptor.open(path, flags: O_RDONLY)
    var bytes = [UInt8](repeating: 0, count: byteCount)
    let count = try check(unsafe pread(file.rawValue, &bytes, byteCount, offset))
    return Array(bytes.prefix(count))
  }

  /// Blocks of 512 bytes that the file occupies.
  func occupiedBlockCount() throws -> Int {
    var status = stat()
    try check(unsafe stat(path, &status))
    return Int(status.st_blocks)
  }
}

/// Small, fast, and the same on every run: SplitMix64.
struct TestRandom: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
