import DriverCommands
import EventLoop
import NetFront
import NetPackets
import SharedMemory
import SystemPackage

/// Sends the same frame again and again, as fast as the other side takes it.
final class NetFlood: LoopSource {
  private let plane: NetFrontPlane
  private let frame: Frame
  private let receiver: NetFrontPlane?
  private let counter = CountingClient()
  private let left: FixedCell<UInt64>

  /// - Parameters:
  ///   - receiver: where the frames are to arrive; nil: they are counted when they are on the ring.
  ///   - limit: after so many frames no more are sent.
  init(
    _ plane: NetFrontPlane, from source: MACAddress, to destination: MACAddress, byteCount: Int, receiver: NetFrontPlane?, limit: UInt64
  ) throws(Errno) {
    self.plane = plane
    left = FixedCell(limit)
    self.receiver = receiver
    let memory = try SharedRegion(anonymousByteCount: 1 << 16).bytes
    frame = Frame(index: 0, head: memory.slice(at: 0, byteCount: 4096))
    super.init()
    fill(from: source, to: destination, byteCount: byteCount)
    receiver?.client = counter
    // One frame the other way, so that a switch knows where the receiver is.
    if let receiver {
      fill(from: destination, to: source, byteCount: byteCount)
      _ = receiver.transmit(frame, queue: 0)
      receiver.publish()
      fill(from: source, to: destination, byteCount: byteCount)
    }
  }

  private func fill(from source: MACAddress, to destination: MACAddress, byteCount: Int) {
    frame.reset(headByteCount: byteCount)
    for (index, address) in [destination, source].enumerated() {
      for byte in 0..<6 {
        frame.head.store8(UInt8(truncatingIfNeeded: address.rawValue >> UInt64(40 - 8 * byte)), at: index * 6 + byte)
      }
    }
    // IEEE's number for local experiments.
    frame.head.store8(0x88, at: 12)
    frame.head.store8(0xb5, at: 13)
  }

  /// Frames that have arrived.
  var arrivedCount: UInt64 { receiver == nil ? plane.counters.transmittedFrames : counter.count }

  /// All frames have been sent.
  var isDone: Bool { left.value == 0 }

  func stop() { loop?.detach(self) }

  override func service() -> Service {
    if left.value == 0 { return .idle }
    for _ in 0..<min(64, left.value) {
      guard case .sent = plane.transmit(frame, queue: 0) else { break }
      left.value -= 1
    }
    plane.publish()
    return .worked
  }
}

/// Counts what arrives.
private final class CountingClient: NetFrontClient {
  private let received = FixedCell(UInt64(0))
  var count: UInt64 { received.value }

  override func received(_ frame: Frame, queue: Int) -> ReceiveOutcome {
    received.value &+= 1
    return .taken
  }

  override func received(_ batch: FrameBatch, queue: Int) { received.value &+= UInt64(batch.count) }
}
