public import EventLoop
import Glibc
import LinuxSystem
import SharedMemory
public import SystemPackage
import Uring

/// Appends bytes to a file, in the background and in order. Loop thread only.
///
/// What has been handed over and not written yet is bounded: ``room`` says how much more is taken. A disk that is full loses what does
/// not fit, and says so once.
public final class ByteLog: LoopSource {
  private let file: SharedDescriptor
  /// Two halves: one is filled while the other one is written.
  private let memory: SharedBytes
  private var filling = Half()
  private var writing: Half?
  private var onFailure: ((Errno) -> Void)?
  private var closing: (() -> Void)?
  private var hasFailed = false
  /// A write is under way.
  private var isBusy = false

  private struct Half {
    var offset = 0
    var written = 0
    var count = 0
  }
  private static let halfByteCount = 64 << 10

  /// Appends to the file at `path`, which is made for its owner alone if it is not there.
  public init(path: String, loop: EventLoop, onFailure: @escaping (Errno) -> Void) throws(Errno) {
    file = SharedDescriptor(try OwnedDescriptor.open(path, flags: O_WRONLY | O_CREAT | O_APPEND, mode: 0o600))
    memory = try SharedRegion(anonymousByteCount: 2 * Self.halfByteCount).bytes
    self.onFailure = onFailure
    super.init()
    loop.attach(self)
  }

  public override var takesTurns: Bool { false }

  /// Bytes that ``append(_:at:byteCount:)`` would take now.
  var room: Int { Self.halfByteCount - filling.count }

  /// Takes `count` bytes, at most ``room``.
  func append(_ bytes: SharedBytes, at offset: Int, byteCount count: Int) {
    precondition(count <= room, "more bytes for a log than it has room for")
    memory.copy(from: bytes, sourceOffset: offset, to: filling.offset + filling.count, byteCount: count)
    filling.count += count
    writeNext()
  }

  /// Writes what is left, closes the file, and calls `done`.
  public func close(_ done: @escaping () -> Void) {
    guard loop != nil else { return done() }
    closing = done
    writeNext()
  }

  private func writeNext() {
    guard !isBusy else { return }
    if writing == nil {
      guard filling.count > 0 else { return finishClosing() }
      writing = filling
      filling = Half(offset: Self.halfByteCount - filling.offset)
    }
    guard let half = writing, let userData = loop.begin(self, tag: 0) else { return }
    precondition(
      loop.uring.prepareWrite(
        .descriptor(file.rawValue), address: memory.vector(at: half.offset + half.written, byteCount: half.count - half.written).address,
        byteCount: half.count - half.written, offset: .max, userData: userData))
    isBusy = true
  }

  public override func completed(tag: UInt64, result: Int32) {
    isBusy = false
    guard var half = writing else { return }
    if result > 0 {
      half.written += Int(result)
      hasFailed = false
    } else if result != -EAGAIN, result != -EINTR {
      half.written = half.count
      if !hasFailed { onFailure?(Errno(rawValue: result == 0 ? ENOSPC : -result)) }
      hasFailed = true
    }
    writing = half.written < half.count ? half : nil
    writeNext()
  }

  private func finishClosing() {
    guard let done = closing, !isBusy else { return }
    closing = nil
    loop.detach(self)
    done()
  }
}
