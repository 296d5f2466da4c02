import EventLoop
import SharedMemory
import VhostUser
import VirtioInterface
import VirtioRing

/// A device that does nothing by itself: a test takes the chains of its queues, and answers them or not.
final class TestDevice: VhostUserDevice {
  static let queueCount = 2
  private(set) var space: [UInt8] = Array(0..<16)
  private(set) var running: [Int: VhostUserQueue] = [:]
  private(set) var memoryChanges = 0
  private(set) var mtu: UInt64 = 0
  /// Queues that were told to stop and do not yet: whoever calls them lets them.
  private(set) var heldStops: [() -> Void] = []
  var holdsStops = false

  override var features: VirtioFeatures { VirtioFeatures(rawValue: 1) }
  override var protocolFeatures: VhostUserFeatures { [.mtu, .rarp] }
  override var queueCount: Int { Self.queueCount }
  override var configuration: [UInt8] { space }

  override func setConfiguration(_ bytes: [UInt8], at offset: Int) -> Bool {
    guard offset + bytes.count <= space.count else { return false }
    space.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    return true
  }

  override func setMTU(_ mtu: UInt64) -> Bool {
    guard mtu <= 9000 else { return false }
    self.mtu = mtu
    return true
  }

  override func started(_ queue: VhostUserQueue) { running[queue.index] = queue }

  override func stop(_ queue: VhostUserQueue, done: @escaping () -> Void) {
    let finish = { [self] in
      running[queue.index] = nil
      done()
    }
    if holdsStops { heldStops.append(finish) } else { finish() }
  }

  override func memoryChanged(_ memory: GuestMemory) { memoryChanges += 1 }

  func letStop() {
    let held = heldStops
    heldStops = []
    for finish in held { finish() }
  }

  /// Takes the next chain of a running queue.
  func take(from index: Int) throws -> DeviceQueue.Chain? { try running[index]?.ring.value.take() }

  func put(_ chain: DeviceQueue.Chain, on index: Int) { running[index]?.ring.value.put(chain.id, writtenByteCount: 0) }
}
