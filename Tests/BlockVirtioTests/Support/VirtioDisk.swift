import BlockEngine
import BlockVirtio
import EventLoop
import PVDriver
import SharedMemory
import SharedRing
import Testing
import VirtioInterface
import VirtioRing
import XenInterface

@testable import VhostUser

/// A disk with one or more queues in the memory of a guest made for the test, driven from the other side. The loop is turned by hand.
final class VirtioDisk {
  static let guestAddress: UInt64 = 0x10_0000
  static let ringByteCount = 32768
  private static let dataByteCount = 2 << 20

  let loop: EventLoop
  let device: BlockVirtioDevice
  let memory = GuestMemory()
  let bytes: SharedBytes
  private(set) var queues: [Queue] = []
  private(set) var faults: [VirtqueueFault] = []
  /// Where the next request's bytes go, behind the rings.
  private var cursor: Int

  final class Queue {
    let vhost: VhostUserQueue
    let parts: DeviceQueue.Parts
    private var driver: DriverQueue
    var written: [UInt16: UInt32] = [:]

    init(_ vhost: VhostUserQueue, _ parts: DeviceQueue.Parts, _ driver: consuming DriverQueue) {
      self.vhost = vhost
      self.parts = parts
      self.driver = driver
    }

    func send(_ buffers: [DriverQueue.Buffer]) -> UInt16? {
      guard let id = driver.add(buffers) else { return nil }
      _ = driver.publish()
      return id
    }

    func collect() throws(DriverQueue.Fault) {
      while let used = try driver.takeUsed() { written[used.id] = used.writtenByteCount }
    }
  }

  struct Answer: Equatable {
    var status: VirtioBlockStatus?
    var data: [UInt8] = []
    var writtenByteCount: UInt32
  }

  init(
    _ spec: BlockStoreSpec, format: DeviceQueue.Format = .split, queueCount: Int = 1, entryCount: Int = 64, identity: String = "disk0",
    trace: TraceFile? = nil
  ) throws {
    loop = try EventLoop(name: "test", configuration: EventLoop.Configuration())
    device = BlockVirtioDevice(
      engine: BlockEngine(store: try BlockStore.open(spec), loop: loop), queueCount: queueCount, identity: identity, polling: .never,
      trace: trace)
    bytes = try SharedRegion(anonymousByteCount: queueCount * Self.ringByteCount + Self.dataByteCount).bytes
    cursor = queueCount * Self.ringByteCount
    try memory.add(bytes, guestAddress: Self.guestAddress, userAddress: 0)
    device.memoryChanged(memory)
    for index in 0..<queueCount { try start(index, format, entryCount) }
  }

  private func start(_ index: Int, _ format: DeviceQueue.Format, _ entryCount: Int) throws {
    let sizes = DeviceQueue.partByteCounts(format, entryCount: entryCount)
    let ring = bytes.slice(at: index * Self.ringByteCount, byteCount: Self.ringByteCount)
    let parts = DeviceQueue.Parts(
      descriptors: ring.slice(at: 0, byteCount: sizes.descriptors), driver: ring.slice(at: 16384, byteCount: sizes.driver),
      device: ring.slice(at: 20480, byteCount: sizes.device))
    let features = DeviceQueue.Features(eventIndex: true, indirect: true)
    let driver = DriverQueue(format, entryCount: entryCount, parts: parts, features: features, start: format == .split ? 65_500 : 0x8000)
    let side = try DeviceQueue(format, entryCount: entryCount, parts: parts, features: features, memory: memory, base: driver.base)
    let vhost = VhostUserQueue(index: index, features: [], ring: side) { [unowned self] _, fault in faults.append(fault) }
    queues.append(Queue(vhost, parts, driver))
    device.started(vhost)
  }

  // MARK: Requests

  static func header(_ type: UInt32, sector: UInt64 = 0) -> [UInt8] {
    var header = VirtioBlockHeader()
    header.type = type
    header.sectorNumber = sector
    return WireBytes(header).bytes
  }

  static func segment(sector: UInt64, count: UInt32, flags: UInt32 = 0) -> [UInt8] {
    var segment = VirtioBlockSegment()
    segment.sectorNumber = sector
    segment.sectorCount = count
    segment.flags = flags
    return WireBytes(segment).bytes
  }

  /// A request that was sent: where its writable bytes are.
  struct Sent {
    var queue: Int
    var id: UInt16
    var writable: [(offset: Int, count: Int)]
  }

  /// Sends a chain of these readable pieces and writable lengths, each one descriptor. Pieces begin at multiples of 512, plus `skew`.
  func send(_ readable: [[UInt8]], writable: [Int], skew: Int = 0, on queue: Int = 0) throws -> Sent {
    var buffers: [DriverQueue.Buffer] = []
    func place(_ count: Int, isWritable: Bool) -> Int {
      cursor = (cursor + 511) & ~511
      if cursor + skew + count > bytes.byteCount { cursor = queues.count * Self.ringByteCount }
      let offset = cursor + skew
      buffers.append(DriverQueue.Buffer(guestAddress: Self.guestAddress + UInt64(offset), byteCount: UInt32(count), isWritable: isWritable))
      cursor = offset + count
      return offset
    }
    for piece in readable { bytes.copyIn(piece, at: place(piece.count, isWritable: false)) }
    let places = writable.map { count in
      let offset = place(count, isWritable: true)
      bytes.copyIn([UInt8](repeating: 0xee, count: count), at: offset)
      return (offset: offset, count: count)
    }
    let id = queues[queue].send(buffers)
    return Sent(queue: queue, id: try #require(id, "the queue has room"), writable: places)
  }

  /// The answer, once there is one. The last writable byte is the status.
  func answer(to sent: Sent) throws -> Answer? {
    try queues[sent.queue].collect()
    guard let written = queues[sent.queue].written.removeValue(forKey: sent.id) else { return nil }
    var data: [UInt8] = []
    for place in sent.writable { data += bytes.copyOut(at: place.offset, byteCount: place.count) }
    guard let last = data.popLast() else { return Answer(status: nil, writtenByteCount: written) }
    return Answer(status: VirtioBlockStatus(rawValue: last), data: data, writtenByteCount: written)
  }

  func wait(for sent: Sent) throws -> Answer {
    while true {
      loop.turn(maySleep: false)
      if let answer = try answer(to: sent) { return answer }
    }
  }

  func perform(_ readable: [[UInt8]], writable: [Int] = [1], skew: Int = 0, on queue: Int = 0) throws -> Answer {
    try wait(for: send(readable, writable: writable, skew: skew, on: queue))
  }

  func read(sector: UInt64, byteCount: Int) throws -> [UInt8] {
    let answer = try perform([Self.header(0, sector: sector)], writable: [byteCount, 1])
    #expect(answer.status == .okay && answer.writtenByteCount == UInt32(byteCount + 1))
    return answer.data
  }

  func write(_ data: [UInt8], sector: UInt64) throws {
    #expect(try perform([Self.header(1, sector: sector), data]) == Answer(status: .okay, writtenByteCount: 1))
  }

  func close() {
    for queue in queues {
      var isStopped = false
      device.stop(queue.vhost) { isStopped = true }
      while !isStopped { loop.turn(maySleep: false) }
    }
    device.close()
    loop.shutDown()
  }
}

/// Bytes that tell a sector from another.
func pattern(_ seed: Int, byteCount: Int) -> [UInt8] { (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 / 512 &+ seed) } }
