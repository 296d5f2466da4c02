import NetPackets
import SharedMemory
import SystemPackage

/// Frames that are others with or without a VLAN tag: a head of their own, and the other's pieces.
final class RetaggedFrames {
  private let frames: [Frame]
  private var originals: [Frame?]
  private var free: [Int]

  /// - Parameter count: that may be in use at a time.
  init(count: Int) throws(Errno) {
    // A head, and the tag.
    let heads = try SharedRegion(anonymousByteCount: count * 512).bytes
    frames = (0..<count).map { Frame(index: $0, head: heads.slice(at: $0 * 512, byteCount: 512)) }
    originals = Array(repeating: nil, count: count)
    free = Array((0..<count).reversed())
  }

  /// `frame` with another tag, or without one. Nil when there are too many.
  func make(of frame: Frame, tag: UInt16?) -> Frame? {
    guard let index = free.popLast() else { return nil }
    let made = frames[index]
    made.copy(frame, tag: tag)
    originals[index] = frame
    return made
  }

  /// What a frame was made of; nil when it is not one of these.
  func original(of frame: Frame) -> Frame? {
    guard frame.index >= 0, frame.index < frames.count, frames[frame.index] === frame else { return nil }
    return originals[frame.index]
  }

  func giveBack(_ frame: Frame) {
    originals[frame.index] = nil
    free.append(frame.index)
  }
}
