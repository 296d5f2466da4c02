import EventLoop
import NetEngine
import NetPackets
import NetVirtio
import SharedMemory
import SharedRing
import Testing
import VirtioInterface
import VirtioRing
import XenInterface

@testable import VhostUser

/// An interface in the memory of a guest made for the test, driven from the other side. The loop is turned by hand.
final class GuestInterface {
  static let guestAddress: UInt64 = 0x10_0000
  static let ringByteCount = 32768
  private static let dataByteCount = 4 << 20

  let loop: EventLoop
  let device: NetVirtioDevice
  let memory = GuestMemory()
  let bytes: SharedBytes
  let receive: Queue
  let transmit: Queue
  private var cursor: Int

  final class Queue {
    let vhost: VhostUserQueue
    private var driver: DriverQueue
    var used: [DriverQueue.Used] = []

    init(_ vhost: VhostUserQueue, _ driver: consuming DriverQueue) {
      self.vhost = vhost
      self.driver = driver
    }

    func send(_ buffers: [DriverQueue.Buffer]) -> UInt16? {
      guard let id = driver.add(buffers) else { return nil }
      _ = driver.publish()
      return id
    }

    func collect() throws(DriverQueue.Fault) {
      while let next = try driver.takeUsed() { used.append(next) }
    }
  }

  static let allFeatures: VirtioNetFeatures = [
    .mergeableReceiveBuffers, .checksum, .guestChecksum, .hostTCPv4, .hostTCPv6, .guestTCPv4, .guestTCPv6, .hostUDPSegments, .guestUDPSegmentsIPv4,
    .guestUDPSegmentsIPv6,
  ]

  init(
    _ port: NetPort, on loop: EventLoop, features: VirtioNetFeatures = allFeatures, format: DeviceQueue.Format = .split, entryCount: Int = 64
  ) throws {
    self.loop = loop
    var settings = NetVirtioDevice.Settings()
    settings.polling = .never
    device = NetVirtioDevice(port: port, loop: loop, settings: settings)
    bytes = try SharedRegion(anonymousByteCount: 2 * Self.ringByteCount + Self.dataByteCount).bytes
    cursor = 2 * Self.ringByteCount
    try memory.add(bytes, guestAddress: Self.guestAddress, userAddress: 0)
    device.memoryChanged(memory)
    let all = VirtioFeatures(rawValue: features.rawValue).union([.version1, .eventIndex, .indirectDescriptors])
    func make(_ index: Int, in bytes: SharedBytes, of memory: GuestMemory) throws -> Queue {
      let sizes = DeviceQueue.partByteCounts(format, entryCount: entryCount)
      let ring = bytes.slice(at: index * Self.ringByteCount, byteCount: Self.ringByteCount)
      let parts = DeviceQueue.Parts(
        descriptors: ring.slice(at: 0, byteCount: sizes.descriptors), driver: ring.slice(at: 16384, byteCount: sizes.driver),
        device: ring.slice(at: 20480, byteCount: sizes.device))
      let features = DeviceQueue.Features(eventIndex: true, indirect: true)
      let driver = DriverQueue(format, entryCount: entryCount, parts: parts, features: features, start: format == .split ? 65_500 : 0x8000)
      let side = try DeviceQueue(format, entryCount: entryCount, parts: parts, features: features, memory: memory, base: driver.base)
      return Queue(VhostUserQueue(index: index, features: all, ring: side) { _, _ in }, driver)
    }
    receive = try make(0, in: bytes, of: memory)
    transmit = try make(1, in: bytes, of: memory)
    device.started(receive.vhost)
    device.started(transmit.vhost)
  }

  // MARK: Frames

  private func place(_ count: Int) -> Int {
    if cursor + count > bytes.byteCount { cursor = 2 * Self.ringByteCount }
    defer { cursor += (count + 63) & ~63 }
    return cursor
  }

  private func buffer(_ offset: Int, _ count: Int, isWritable: Bool) -> DriverQueue.Buffer {
    DriverQueue.Buffer(guestAddress: Self.guestAddress + UInt64(offset), byteCount: UInt32(count), isWritable: isWritable)
  }

  /// Sends header and frame, cut into descriptors of these lengths; what is left goes into a last one.
  @discardableResult
  func send(_ frame: [UInt8], header: VirtioNetHeader = VirtioNetHeader(), cuts: [Int] = []) throws -> UInt16 {
    let whole = WireBytes(header).bytes + frame
    var buffers: [DriverQueue.Buffer] = []
    var position = 0
    for length in cuts + [whole.count - cuts.reduce(0, +)] {
      let offset = place(length)
      bytes.copyIn(Array(whole[position..<position + length]), at: offset)
      buffers.append(buffer(offset, length, isWritable: false))
      position += length
    }
    return try #require(transmit.send(buffers), "the queue has room")
  }

  /// Chains that were posted and not used, by id: where they are.
  private(set) var posted: [UInt16: [(offset: Int, count: Int)]] = [:]

  /// Posts a chain of buffers of these lengths.
  func post(_ lengths: [Int]) throws {
    let places = lengths.map { (offset: place($0), count: $0) }
    for one in places { bytes.copyIn([UInt8](repeating: 0xee, count: one.count), at: one.offset) }
    let id = try #require(receive.send(places.map { buffer($0.offset, $0.count, isWritable: true) }), "the queue has room")
    posted[id] = places
  }

  struct Received: Equatable {
    var header: VirtioNetHeader
    var frame: [UInt8]
  }

  /// Frames that have come, put together from their chains.
  func received() throws -> [Received] {
    try receive.collect()
    var result: [Received] = []
    while let first = receive.used.first {
      var whole = contents(first)
      let header = VirtioNetHeader(copying: WireBytes(whole), at: 0)
      let count = Int(header.bufferCount)
      try #require(count >= 1 && count <= receive.used.count, "the header counts \(count) chains")
      for next in receive.used[1..<count] { whole += contents(next) }
      receive.used.removeFirst(count)
      result.append(Received(header: header, frame: Array(whole.dropFirst(VirtioNetHeader.byteCount))))
    }
    return result
  }

  private func contents(_ used: DriverQueue.Used) -> [UInt8] {
    let places = posted.removeValue(forKey: used.id) ?? []
    var all: [UInt8] = []
    for one in places { all += bytes.copyOut(at: one.offset, byteCount: one.count) }
    return Array(all.prefix(Int(used.writtenByteCount)))
  }

  /// Turns the loop until nothing changes any more.
  func settle() { for _ in 0..<20 { loop.turn(maySleep: false) } }

  func stop(_ queue: Queue) {
    var isStopped = false
    device.stop(queue.vhost) { isStopped = true }
    while !isStopped { loop.turn(maySleep: false) }
  }

  func close() {
    stop(receive)
    stop(transmit)
    device.close()
  }
}

/// A port that keeps what it is given, and delivers what the test says.
final class RecordingPort: NetPort {
  struct Taken: Equatable {
    var bytes: [UInt8]
    var offload: FrameOffload
  }
  private(set) var taken: [Taken] = []
  private let head: SharedBytes
  private let frame: Frame

  override init() {
    head = try! SharedRegion(anonymousByteCount: 4096).bytes
    frame = Frame(index: 0, head: head)
    super.init()
  }

  var takes = FrameCapabilities.all.union(.datagrams)
  override var capabilities: FrameCapabilities { takes }

  override func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome {
    let copy = try! SharedRegion(anonymousByteCount: (frame.byteCount + 4095) & ~4095).bytes
    frame.copy(from: 0, byteCount: frame.byteCount, to: copy, at: 0)
    taken.append(Taken(bytes: copy.copyOut(at: 0, byteCount: frame.byteCount), offload: frame.offload))
    return .done
  }

  /// Delivers a frame whose first bytes are private and whose rest lies elsewhere.
  func deliver(_ bytes: [UInt8], offload: FrameOffload = FrameOffload()) -> NetPortClient.ReceiveOutcome? {
    let rest = try! SharedRegion(anonymousByteCount: max(4096, (bytes.count + 4095) & ~4095)).bytes
    let headCount = min(bytes.count, 100)
    head.copyIn(Array(bytes.prefix(headCount)), at: 0)
    frame.reset(headByteCount: headCount)
    rest.copyIn(Array(bytes.dropFirst(headCount)), at: 0)
    if bytes.count > headCount { frame.append(rest.vector(at: 0, byteCount: bytes.count - headCount)) }
    frame.offload = offload
    let outcome = client?.receive(frame, queue: 0)
    client?.endOfReceiveBatch()
    return outcome
  }
}
