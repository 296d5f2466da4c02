public import EventLoop
import Glibc
import LinuxSystem
import NetPackets
import SharedMemory
public import SystemPackage
import Uring

/// A file of recorded frames, as tcpdump and tshark read it (libpcap's savefile format, nanosecond times, Ethernet).
///
/// Frames are copied into one of two buffers, and written by the turn's io_uring submission while the other one fills. When both are
/// full, records are left out and counted: a slow disk does not slow the frames.
public final class PcapFile: LoopSource {
  private static let bufferByteCount = 1 << 20
  /// Bytes of a frame that are kept at most.
  private static let snapLength = 65_535
  private static let recordHeaderByteCount = 16

  private let file: SharedDescriptor
  private let buffers: [SharedBytes]
  private var active = 0
  private var filled = 0
  private var writingByteCount = 0
  private var offset: UInt64 = 0
  private var flushed: (() -> Void)?
  /// From the monotonic clock to the time of day, in nanoseconds.
  private let timeOffset: UInt64
  /// Frames that were recorded, and those that were left out.
  public private(set) var recordedCount: UInt64 = 0
  public private(set) var missedCount: UInt64 = 0
  /// Why nothing is written any more.
  public private(set) var failure: Errno?

  /// Makes the file, or empties it.
  public init(path: String) throws(Errno) {
    file = SharedDescriptor(try OwnedDescriptor.open(path, flags: O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC))
    let memory = try SharedRegion(anonymousByteCount: 2 * Self.bufferByteCount).bytes
    buffers = [0, 1].map { memory.slice(at: $0 * Self.bufferByteCount, byteCount: Self.bufferByteCount) }
    timeOffset = WallClock.unixMicroseconds * 1000 - MonotonicClock.nowNanoseconds
    super.init()
    // magic for nanoseconds, version 2.4, no time zone, snap length, LINKTYPE_ETHERNET.
    for word in [0xa1b2_3c4d, 0x0004_0002, 0, 0, UInt32(Self.snapLength), 1] as [UInt32] { put(word) }
  }

  /// Byte by byte: a record begins where the one before ends, at any offset.
  private func put(_ word: UInt32) {
    for byte in 0..<4 { buffers[active].store8(UInt8(truncatingIfNeeded: word >> UInt32(8 * byte)), at: filled + byte) }
    filled += 4
  }

  /// Records a frame as it is now. What is left to do on it (a checksum, segments) is not done in the record either.
  func record(_ frame: Frame) {
    let count = min(frame.byteCount, Self.snapLength)
    guard failure == nil, filled + Self.recordHeaderByteCount + count <= Self.bufferByteCount else {
      missedCount &+= 1
      return
    }
    let time = MonotonicClock.nowNanoseconds &+ timeOffset
    put(UInt32(truncatingIfNeeded: time / 1_000_000_000))
    put(UInt32(truncatingIfNeeded: time % 1_000_000_000))
    put(UInt32(truncatingIfNeeded: count))
    put(UInt32(truncatingIfNeeded: frame.byteCount))
    frame.copy(from: 0, byteCount: count, to: buffers[active], at: filled)
    filled += count
    recordedCount &+= 1
  }

  /// Writes what is there, then calls `done`.
  func flush(_ done: @escaping () -> Void) {
    flushed = done
    finishFlushing()
  }

  public override func service() -> Service {
    guard filled > 0, writingByteCount == 0, failure == nil, let userData = loop.begin(self, tag: 0) else { return .idle }
    writingByteCount = filled
    let vector = buffers[active].vector(at: 0, byteCount: filled)
    precondition(
      loop.uring.prepareWrite(
        .descriptor(file.rawValue), address: vector.address, byteCount: vector.byteCount, offset: offset, userData: userData))
    active = 1 - active
    filled = 0
    return .worked
  }

  public override func completed(tag: UInt64, result: Int32) {
    // A short write is a full disk: the rest would be in the wrong place.
    if result < 0 { failure = Errno(rawValue: -result) } else if Int(result) < writingByteCount { failure = .noSpace }
    offset += UInt64(max(0, result))
    writingByteCount = 0
    finishFlushing()
  }

  private func finishFlushing() {
    guard flushed != nil else { return }
    if writingByteCount == 0 { _ = service() }
    guard writingByteCount == 0, let done = flushed.take() else { return }
    done()
  }
}
