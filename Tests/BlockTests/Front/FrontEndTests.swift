import BlockFront
import BlockTestSupport
import EventLoop
import Testing
import SharedMemory
import XenInterface
import XenPlatform

@Suite struct FrontEndTests {
  static let mebibyte = 1 << 20
  static let shapes: [BlockFrontConnection.Shape] = [
    .init(queueCount: 1, ringPageOrder: 0, maximumIndirectSegments: 0, isPersistent: false, dataPageCount: 1024),
    .init(queueCount: 1, ringPageOrder: 0, maximumIndirectSegments: 256, isPersistent: true, dataPageCount: 1024),
    .init(queueCount: 4, ringPageOrder: 2, maximumIndirectSegments: 32, isPersistent: false, dataPageCount: 1024),
    // A wish: more than one page of segments.
    .init(queueCount: 2, ringPageOrder: 4, maximumIndirectSegments: 4096, isPersistent: true, dataPageCount: 2048),
  ]

  @Test(arguments: shapes)
  func readsWhatWasWrittenHoweverItIsSplit(shape: BlockFrontConnection.Shape) async throws {
    let pair = try DevicePair(configuration: configuration(shape))
    let backend = try await pair.connect(.device(sectorCount: 16 << 11), shape: shape)
    let disk = pair.frontend
    // 512 bytes, one page, around 11 segments, around one operation, several operations.
    for (round, count) in [512, 4096, 11 * 4096, 11 * 4096 + 512, 300 * 4096 + 1536, 5 * Self.mebibyte].enumerated() {
      let bytes = pattern(count, seed: UInt8(round))
      let offset = UInt64(round) * 512 * 3
      try await disk.write(bytes, at: offset)
      let back = try await disk.read(at: offset, byteCount: count)
      #expect(back == bytes, "\(count) bytes")
      let stored = await pair.thread.loop.run { Array(backend.value.bytes[Int(offset)..<Int(offset) + count]) }
      #expect(stored == bytes, "\(count) bytes on the device")
    }
    let largest = await pair.thread.loop.run { backend.value.largestSegmentCount }
    #expect(largest <= max(11, shape.maximumIndirectSegments))
    #expect(largest > 11 || shape.maximumIndirectSegments <= 11)
    await end(pair, backend)
  }

  @Test(arguments: shapes)
  func keepsManyOperationsInFlightApart(shape: BlockFrontConnection.Shape) async throws {
    let pair = try DevicePair(configuration: configuration(shape))
    let backend = try await pair.connect(.device(sectorCount: 16 << 11), shape: shape)
    let disk = pair.frontend
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<400 {
        group.addTask {
          let bytes = pattern(4096 * (1 + number % 9), seed: UInt8(number & 0xFF))
          let offset = UInt64(number) * 4096 * 10
          try await disk.write(bytes, at: offset)
          let back = try await disk.read(at: offset, byteCount: bytes.count)
          #expect(back == bytes)
        }
      }
      try await group.waitForAll()
    }
    await end(pair, backend)
  }

  @Test func refusesWhatTheDeviceCannotDo() async throws {
    let pair = try DevicePair()
    let shape = Self.shapes[0]
    let backend = try await pair.connect(
      .device(sectorCount: 2048, sectorByteCount: 4096, info: .readOnly, discards: true), shape: shape)
    let disk = pair.frontend
    await #expect(throws: BlockFrontError.unaligned(offset: 512, byteCount: 4096, sectorByteCount: 4096)) {
      try await disk.read(at: 512, byteCount: 4096)
    }
    await #expect(throws: BlockFrontError.unaligned(offset: 0, byteCount: 100, sectorByteCount: 4096)) {
      try await disk.read(at: 0, byteCount: 100)
    }
    await #expect(throws: BlockFrontError.outOfRange(offset: 1 << 20, byteCount: 4096, deviceByteCount: 1 << 20)) {
      try await disk.read(at: 1 << 20, byteCount: 4096)
    }
    await #expect(throws: BlockFrontError.outOfRange(offset: .max - 4095, byteCount: 8192, deviceByteCount: 1 << 20)) {
      try await disk.read(at: .max - 4095, byteCount: 8192)
    }
    await #expect(throws: BlockFrontError.readOnly(.write)) { try await disk.write(Array(repeating: 1, count: 4096), at: 0) }
    await #expect(throws: BlockFrontError.readOnly(.discard)) { try await disk.discard(at: 0, byteCount: 4096) }
    await end(pair, backend)
  }

  @Test func makesWritesDurableWithAFlushOnlyWhenThereIsACache() async throws {
    for flushes in [false, true] {
      let pair = try DevicePair()
      let backend = try await pair.connect(.device(sectorCount: 2048, flushes: flushes), shape: Self.shapes[0])
      try await pair.frontend.write(Array(repeating: 7, count: 4096), at: 0, durably: true)
      try await pair.frontend.flush()
      let flushCount = await pair.thread.loop.run { backend.value.taken[BlkifOperation.flush.rawValue, default: 0] }
      #expect(flushCount == (flushes ? 2 : 0))
      await end(pair, backend)
    }
  }

  @Test func usesABarrierWhereThereIsNoFlush() async throws {
    let pair = try DevicePair()
    let backend = try await pair.connect(.device(sectorCount: 2048, hasBarriers: true), shape: Self.shapes[0])
    try await pair.frontend.flush()
    let barriers = await pair.thread.loop.run { backend.value.taken[BlkifOperation.writeBarrier.rawValue] }
    #expect(barriers == 1)
    await end(pair, backend)
  }

  @Test func discardsAndZeroesRanges() async throws {
    let pair = try DevicePair()
    let backend = try await pair.connect(.device(sectorCount: 16 << 11, discards: true), shape: Self.shapes[1])
    let disk = pair.frontend
    try await disk.write(Array(repeating: 0xEE, count: 12 << 20), at: 0)
    try await disk.discard(at: 4096, byteCount: 8192)
    try await disk.writeZeroes(at: 1 << 20, byteCount: 10 << 20)
    let discarded = await pair.thread.loop.run { backend.value.discardedSectors }
    #expect(discarded == 16)
    let back = try await disk.read(at: 0, byteCount: 12 << 20)
    #expect(back[..<4096].allSatisfy { $0 == 0xEE })
    #expect(back[(1 << 20)..<(11 << 20)].allSatisfy { $0 == 0 })
    #expect(back[(11 << 20)...].allSatisfy { $0 == 0xEE })
    await end(pair, backend)
  }

  @Test func stopsUsingWhatTheBackEndRefuses() async throws {
    let pair = try DevicePair()
    let reports = pair.frontend.reports()
    let backend = try await pair.connect(
      .device(sectorCount: 2048, flushes: true, discards: true), shape: Self.shapes[0], misbehaviour: .refusesExtras)
    try await pair.frontend.flush()
    await #expect(throws: BlockFrontError.unsupported(.discard)) { try await pair.frontend.discard(at: 0, byteCount: 512) }
    #expect(pair.frontend.geometry?.flushes == false)
    #expect(pair.frontend.geometry?.discard == nil)
    try await pair.frontend.flush()
    let flushCount = await pair.thread.loop.run { backend.value.taken[BlkifOperation.flush.rawValue] }
    #expect(flushCount == 1)
    await end(pair, backend)
    var refused: [BlkifOperation] = []
    for await report in reports { if case .featureRefused(let operation) = report { refused.append(operation) } }
    #expect(refused == [.flush, .discard])
  }

  @Test func passesOnTheBackEndsErrors() async throws {
    let pair = try DevicePair()
    let backend = try await pair.connect(.device(sectorCount: 2048), shape: Self.shapes[0], misbehaviour: .failsTransfers)
    await #expect(throws: BlockFrontError.failed(.read, offset: 4096)) { try await pair.frontend.read(at: 4096, byteCount: 512) }
    #expect(pair.frontend.status.isConnected, "an error is no reason to give the connection up")
    await end(pair, backend)
  }

  @Test func tellsListenersOfANewSize() async throws {
    let pair = try DevicePair()
    let reports = pair.frontend.reports()
    let backend = try await pair.connect(.device(sectorCount: 8), shape: Self.shapes[0])
    let larger = BlockFrontGeometry.device(sectorCount: 16)
    await pair.thread.loop.run {
      backend.value.bytes += Array(repeating: 9, count: 4096)
      pair.frontend.plane.value.change(larger)
      pair.frontend.plane.value.change(larger)
    }
    #expect(try await pair.frontend.read(at: 4096, byteCount: 4096) == Array(repeating: 9, count: 4096))
    await end(pair, backend)
    var seen: [BlockFrontReport] = []
    for await report in reports { seen.append(report) }
    #expect(seen.prefix(2) == [.connected(.device(sectorCount: 8)), .changed(larger)])
  }

  @Test func grantsNothingButZeroedWholePages() async throws {
    let pair = try DevicePair()
    let shape = BlockFrontConnection.Shape(
      queueCount: 1, ringPageOrder: 0, maximumIndirectSegments: 0, isPersistent: false, dataPageCount: 1024)
    let backend = try await pair.connect(.device(sectorCount: 2048), shape: shape)
    try await pair.frontend.write(Array(repeating: 0xAB, count: 512), at: 0)
    let payload = await pair.thread.loop.run { () -> (Int, Int) in
      guard let connection = pair.frontend.plane.value.currentConnection else { return (0, 0) }
      let bytes = connection.pool.arena.bytes
      var inPages = 0
      for page in 0..<connection.pool.arena.pageCount {
        let found = bytes.copyOut(at: page * 4096, byteCount: 4096).filter { $0 == 0xAB }.count
        if found > 0 { inPages += 1 }
        if found != 0, found != 512 { return (-1, -1) }
      }
      return (inPages, backend.value.mappedPageCount)
    }
    #expect(payload.0 == 1)
    #expect(payload.1 == 1, "only the ring is mapped between requests")
    await end(pair, backend)
  }
}
