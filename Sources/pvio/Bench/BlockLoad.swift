import BlockFront
import BlockInterface
import LinuxSystem
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// The ring half of the benchmark's front-end: random reads, all that fit in flight at once, polled; as `vublk.c` does them.
final class BlockLoad {
  /// Writes in flight while the disk is filled.
  static let fillDepth = 32

  private let connection: BlockFrontConnection
  private let queue: BlockFrontQueue
  private let pool: IOBufferPool
  private let channel: EventChannel

  init(_ connection: BlockFrontConnection) {
    self.connection = connection
    queue = connection.queues[0]
    pool = connection.pool
    channel = connection.channels[0]
  }

  private func makeBuffers(_ count: Int) throws -> [IOBuffer] {
    try (0..<count).map { _ in
      guard let buffer = pool.makeBuffer(byteCount: BlockCase.blockByteCount) else { throw BenchFailure("out of buffers") }
      return buffer
    }
  }

  private static let sectorsPerBlock = UInt64(BlockCase.blockByteCount / BlkifLimits.sectorByteCount)
  private static func blockCount(_ geometry: BlockGeometry) -> UInt64 { geometry.sectorCount / sectorsPerBlock }

  /// Shows the back-end what was submitted. It asks for an event only when it sleeps.
  @inline(__always) private func flush() {
    if queue.flushRequests() { EventDescriptor.signal(channel.signalDescriptor) }
  }

  private func check(_ completion: BlockFrontQueue.Completion) throws {
    guard completion.status == BlkifStatus.okay.rawValue else { throw BenchFailure("a request failed with status \(completion.status)") }
  }

  // MARK: Filling

  /// Writes each block full of its own number.
  func fill(_ geometry: BlockGeometry) throws {
    let buffers = try makeBuffers(Self.fillDepth)
    defer { for buffer in buffers { pool.free(buffer) } }
    var free = Array(buffers.indices)
    var next: UInt64 = 0
    let count = Self.blockCount(geometry)
    while next < count || free.count < buffers.count {
      while next < count, let tag = free.popLast() {
        pool.fill(buffers[tag], from: Self.contents(of: next), at: 0, byteCount: BlockCase.blockByteCount)
        guard queue.submit(.write, sector: next * Self.sectorsPerBlock, buffer: buffers[tag], tag: UInt64(tag)) else {
          throw BenchFailure("the ring is full")
        }
        next += 1
      }
      flush()
      while let completion = try queue.reap() {
        try check(completion)
        free.append(Int(completion.tag))
      }
    }
  }

  private static func contents(of block: UInt64) -> [UInt8] {
    let word = (0..<8).map { UInt8(truncatingIfNeeded: block &* 0x9E37_79B9_7F4A_7C15 >> (8 * UInt64($0))) }
    return Array((0..<BlockCase.blockByteCount / 8).map { _ in word }.joined())
  }

  /// Reads some blocks that ``fill(_:)`` wrote and compares them.
  private func checkContents(_ geometry: BlockGeometry, _ buffer: IOBuffer) throws {
    var found = [UInt8](repeating: 0, count: BlockCase.blockByteCount)
    for step in UInt64(0)..<64 {
      let block = step * (Self.blockCount(geometry) - 1) / 63
      guard queue.submit(.read, sector: block * Self.sectorsPerBlock, buffer: buffer, tag: 0) else { throw BenchFailure("the ring is full") }
      flush()
      while true {
        guard let completion = try queue.reap() else { continue }
        try check(completion)
        break
      }
      pool.copy(buffer, into: &found, at: 0, byteCount: found.count)
      guard found == Self.contents(of: block) else { throw BenchFailure("block \(block) does not hold what was written to it") }
    }
  }

  // MARK: Reading

  func read(
    _ geometry: BlockGeometry, depth: Int, seconds: Double, requests: UInt64, backendProcess: Int32, checksContents: Bool
  ) throws -> BlockFigures {
    let buffers = try makeBuffers(depth)
    if checksContents { try checkContents(geometry, buffers[0]) }
    let blockCount = Self.blockCount(geometry)
    var latencies = LatencyHistogram()
    var starts = [UInt64](repeating: 0, count: depth)
    var free = Array(0..<depth)
    var seed: UInt32 = 12345
    var done: UInt64 = 0
    let spentBefore = try ProcessorTime.nanoseconds(of: backendProcess)
    let start = MonotonicClock.nowNanoseconds
    let end = start + UInt64(seconds * 1e9)
    var time = start
    while time < end, done < requests {
      while let tag = free.popLast() {
        seed = seed &* 1_103_515_245 &+ 12345
        starts[tag] = MonotonicClock.nowNanoseconds
        guard queue.submit(.read, sector: UInt64(seed >> 4) % blockCount * Self.sectorsPerBlock, buffer: buffers[tag], tag: UInt64(tag)) else {
          throw BenchFailure("the ring is full")
        }
      }
      flush()
      if !queue.hasResponses {
        spinPause()
        continue
      }
      time = MonotonicClock.nowNanoseconds
      while let completion = try queue.reap() {
        try check(completion)
        latencies.add(time - starts[Int(completion.tag)])
        free.append(Int(completion.tag))
        done += 1
      }
    }
    let spent = try ProcessorTime.nanoseconds(of: backendProcess) - spentBefore
    try finish(depth - free.count)
    return BlockFigures(
      requestsPerSecond: Double(done) * 1e9 / Double(time - start), medianNanoseconds: latencies.percentile(50),
      tailNanoseconds: latencies.percentile(99), backendNanoseconds: Double(spent) / Double(done))
  }

  /// Takes the responses that are still to come.
  private func finish(_ count: Int) throws {
    var remaining = count
    flush()
    while remaining > 0 {
      if try queue.reap() != nil { remaining -= 1 }
    }
  }
}

/// Latencies in steps of 16 ns up to a millisecond; what is longer counts as that.
private struct LatencyHistogram {
  private static let step: UInt64 = 16
  private var counts = [UInt32](repeating: 0, count: 65_536)
  private var total: UInt64 = 0

  @inline(__always) mutating func add(_ nanoseconds: UInt64) {
    counts[Int(min(nanoseconds / Self.step, UInt64(counts.count - 1)))] += 1
    total += 1
  }

  func percentile(_ percent: UInt64) -> Double {
    var remaining = total * percent / 100
    for (index, count) in counts.enumerated() {
      if remaining < UInt64(count) { return Double(UInt64(index) * Self.step) }
      remaining -= UInt64(count)
    }
    return 0
  }
}
