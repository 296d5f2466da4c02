import NetPackets
import SharedMemory
import VhostUser
import VirtioInterface
import VirtioRing

/// Bytes in front of each frame: twelve, or ten for an old driver without merged buffers (virtio 1.2, 5.1.6.1).
func netHeaderByteCount(_ features: VirtioFeatures) -> Int {
  let net = VirtioNetFeatures(rawValue: features.rawValue)
  return features.contains(.version1) || net.contains(.mergeableReceiveBuffers) ? VirtioNetHeader.byteCount : 10
}

/// A queue of frames that the guest sends.
final class NetVirtioTransmitQueue {
  /// Frames that the port can have at once.
  static let frameCount = 256

  let queue: VhostUserQueue
  let headerByteCount: Int
  /// The guest may send several UDP datagrams in one frame: not every port takes them.
  let sendsDatagrams: Bool
  let frames: FixedObjects<Frame>
  /// By place: the chain that the frame came in.
  let chains: FixedTable<UInt16>
  /// Free places, last in, first out: the first `freeCount`.
  private let freePlaces: FixedTable<Int32>
  private let free = FixedCell(0)
  var hasUnpublished = false
  var sawChains = false
  var stopping: (() -> Void)?

  /// - Parameter heads: private memory of ``headByteCount`` bytes.
  init(_ queue: VhostUserQueue, heads: SharedBytes) {
    self.queue = queue
    headerByteCount = netHeaderByteCount(queue.features)
    sendsDatagrams = VirtioNetFeatures(rawValue: queue.features.rawValue).contains(.hostUDPSegments)
    let first = queue.index * Self.frameCount
    frames = FixedObjects(count: Self.frameCount) {
      Frame(index: first + $0, head: heads.slice(at: $0 * Frame.headCapacity, byteCount: Frame.headCapacity))
    }
    chains = FixedTable(repeating: 0, count: Self.frameCount)
    freePlaces = FixedTable(count: Self.frameCount) { Int32($0) }
    free.value = Self.frameCount
  }

  static var headByteCount: Int { frameCount * Frame.headCapacity }

  var inFlightCount: Int { Self.frameCount - free.value }
  var hasFree: Bool { free.value > 0 }

  func begin(_ chain: UInt16) -> Int {
    free.value -= 1
    let place = Int(freePlaces[free.value])
    chains[place] = chain
    return place
  }

  func end(_ place: Int) {
    freePlaces[free.value] = Int32(place)
    free.value += 1
  }
}

/// A queue of buffers for frames that the guest gets.
///
/// Buffers are taken from the ring before it is known how many a frame needs: those that are too few for it wait here for the next one.
final class NetVirtioReceiveQueue {
  struct Held {
    var chain: DeviceQueue.Chain
    /// Its buffers in ``buffers``.
    var first: Int
    var byteCount: Int
  }

  static let chainLimit = 64
  static let bufferLimit = 1024

  let queue: VhostUserQueue
  let headerByteCount: Int
  let merges: Bool
  let accepts: FrameCapabilities
  private(set) var held: [Held] = []
  let buffers = FixedTable(repeating: GuestBuffer(address: 0, byteCount: 0, region: 0), count: bufferLimit)
  private var bufferCount = 0
  private(set) var heldByteCount = 0
  var hasUnpublished = false
  var sawChains = false
  /// A frame was refused because of too few buffers.
  var isWaiting = false
  var stopping: (() -> Void)?

  init(_ queue: VhostUserQueue) {
    self.queue = queue
    headerByteCount = netHeaderByteCount(queue.features)
    let net = VirtioNetFeatures(rawValue: queue.features.rawValue)
    merges = net.contains(.mergeableReceiveBuffers)
    var accepts: FrameCapabilities = .scatterGather
    if net.contains(.guestChecksum) { accepts.formUnion([.checksumV4, .checksumV6]) }
    if net.contains(.guestTCPv4) { accepts.insert(.segmentationV4) }
    if net.contains(.guestTCPv6) { accepts.insert(.segmentationV6) }
    if net.contains(.guestUDPSegmentsIPv4) { accepts.insert(.datagramsV4) }
    if net.contains(.guestUDPSegmentsIPv6) { accepts.insert(.datagramsV6) }
    self.accepts = accepts
    held.reserveCapacity(Self.chainLimit)
  }

  /// Whether there are buffers for `byteCount` bytes, header included. Takes more from the ring if need be; without merging, one chain
  /// has to do.
  func hasRoom(_ byteCount: Int) throws(VirtqueueFault) -> Bool {
    if !merges {
      if held.isEmpty { try hold() }
      return !held.isEmpty
    }
    while heldByteCount < byteCount {
      guard held.count < Self.chainLimit, try hold() else { return false }
    }
    return true
  }

  /// The room of the first chain: all there is for a frame without merging.
  var firstByteCount: Int { held.first?.byteCount ?? 0 }

  @discardableResult
  private func hold() throws(VirtqueueFault) -> Bool {
    guard bufferCount < Self.bufferLimit / 2, let chain = try queue.ring.value.take() else { return false }
    sawChains = true
    let count = chain.elementCount - chain.readableCount
    // A chain with more buffers than there is room for, or with nothing to write to, is given back empty.
    guard count > 0, bufferCount + count <= Self.bufferLimit else {
      queue.ring.value.put(chain.id, writtenByteCount: 0)
      hasUnpublished = true
      return true
    }
    for position in 0..<count { buffers[bufferCount + position] = queue.ring.value.elements[chain.readableCount + position] }
    held.append(Held(chain: chain, first: bufferCount, byteCount: chain.writableByteCount))
    bufferCount += count
    heldByteCount += chain.writableByteCount
    return true
  }

  /// Lets go of the first `count` chains, which were answered.
  func removeFirst(_ count: Int) {
    for position in 0..<count { heldByteCount -= held[position].byteCount }
    held.removeFirst(count)
    guard let next = held.first?.first else {
      bufferCount = 0
      return
    }
    if next > 0 {
      let left = bufferCount - next
      for position in 0..<left { buffers[position] = buffers[next + position] }
      for position in held.indices { held[position].first -= next }
      bufferCount = left
    }
  }

  /// Gives everything that is held back to the ring, as if it had not been taken.
  func giveBack() {
    for entry in held.reversed() { queue.ring.value.giveBack(entry.chain) }
    held.removeAll(keepingCapacity: true)
    bufferCount = 0
    heldByteCount = 0
  }
}
