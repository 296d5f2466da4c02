@testable import BlockEngine
import BlockInterface
import EventLoop
import Glibc
import LinuxSystem
import SharedMemory
import SystemPackage
import TestSupport
import Testing
import XenInterface

/// Single requests: how they are cut up, ordered, refused, and how they fail.
@Suite struct EngineRequestTests {
  @Test func takesMoreVectorsThanOneOperationCan() throws {
    let disk = try TestDisk(byteCount: 4 << 20)
    let fixture = try EngineFixture(BlockStoreSpec(.file(path: disk.path), sectorByteCount: 512))
    // Every second sector of the memory: no two are neighbours, so no two can be merged.
    let stretches = (0..<4096).map { $0 * 1024..<$0 * 1024 + 512 }
    for (index, stretch) in stretches.enumerated() { fixture.fill(stretch, with: UInt8(truncatingIfNeeded: index % 251)) }
    #expect(try fixture.perform(.write, sector: 3, stretches) == .okay)
    #expect(fixture.engine.statistics.continuations >= 3)
    let expected = (0..<4096).flatMap { [UInt8](repeating: UInt8($0 % 251), count: 512) }
    #expect(try disk.bytes(at: 3 * 512, byteCount: 4096 * 512) == expected)
    fixture.fill(0..<4096 * 1024, with: 0xFF)
    #expect(try fixture.perform(.read, sector: 3, stretches) == .okay)
    #expect(stretches.flatMap { fixture.bytes($0) } == expected)
    fixture.close()
  }

  @Test func mergesNeighboursOfOneArenaOnly() throws {
    let fixture = try EngineFixture(BlockStoreSpec(.null(byteCount: 1 << 20)))
    let engine = fixture.engine
    let request = try #require(engine.begin(vectorCount: 4))
    engine.append(fixture.memory.vector(at: 0, byteCount: 4096), region: 0, to: request)
    engine.append(fixture.memory.vector(at: 4096, byteCount: 4096), region: 0, to: request)
    #expect(engine.pool.slots[request].vectorCount == 1)
    // A neighbour by address that belongs to another arena (XSA-229).
    engine.append(fixture.memory.vector(at: 8192, byteCount: 4096), region: 1, to: request)
    #expect(engine.pool.slots[request].vectorCount == 2)
    engine.append(fixture.memory.vector(at: 16384, byteCount: 512), region: 1, to: request)
    #expect(engine.pool.slots[request].vectorCount == 3)
    engine.abandon(request)
    fixture.close()
  }

  @Test func aBarrierWaitsForWhatCameBeforeAndHoldsWhatComesAfter() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let fixture = try EngineFixture(BlockStoreSpec(.file(path: disk.path)))
    func write(_ slot: Int) throws -> UInt64 { try #require(fixture.submit(.write, sector: UInt64(slot * 64), [slot * 32768..<slot * 32768 + 32768])) }
    let before = try (0..<8).map { try write($0) }
    let first = try #require(fixture.submit(.barrier, sector: 640, [0..<4096]))
    let between = try (12..<16).map { try write($0) }
    let second = try #require(fixture.submit(.barrier, sector: 0, []))
    let after = try (16..<20).map { try write($0) }
    fixture.drain()
    let order = fixture.client.endings.map(\.tag)
    #expect(fixture.client.endings.allSatisfy { $0.status == .okay })
    #expect(Set(order[0..<8]) == Set(before))
    #expect(order[8] == first)
    #expect(Set(order[9..<13]) == Set(between))
    #expect(order[13] == second)
    #expect(Set(order[14...]) == Set(after))
    fixture.close()
  }

  @Test func aFullEngineSaysSoAndRecovers() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let sizing = BlockEngine.Sizing(requestCount: 4, maximumVectorCount: 256, largeTableByteCount: 0)
    let fixture = try EngineFixture(BlockStoreSpec(.file(path: disk.path), sectorByteCount: 512), sizing: sizing)
    let many = (0..<20).map { $0 * 1024..<$0 * 1024 + 512 }
    #expect(fixture.submit(.read, sector: 0, many) != nil)
    #expect(fixture.submit(.read, sector: 0, many) != nil)
    #expect(fixture.submit(.read, sector: 0, many) == nil, "the large tables are used up")
    #expect(fixture.submit(.read, sector: 0, [0..<512]) != nil, "a small request needs none")
    #expect(fixture.submit(.read, sector: 0, [0..<512]) != nil)
    #expect(fixture.submit(.read, sector: 0, [0..<512]) == nil)
    fixture.drain()
    #expect(fixture.client.endings.count == 4)
    #expect(fixture.submit(.read, sector: 0, many) != nil)
    fixture.drain()
    fixture.close()
  }

  @Test func waitsForRoomInTheLoop() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    // Three operations at once, one of which watches the loop's mailbox.
    let fixture = try EngineFixture(try BlockStore.open(BlockStoreSpec(.file(path: disk.path))), operationLimit: 3)
    for slot in 0..<32 { #expect(fixture.submit(.write, sector: UInt64(slot * 8), [slot * 4096..<slot * 4096 + 4096]) != nil) }
    fixture.drain()
    #expect(fixture.client.endings.count == 32)
    #expect(fixture.client.endings.allSatisfy { $0.status == .okay })
    fixture.close()
  }

  @Test func usesRegisteredMemoryForDirectTransfers() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let fixture = try EngineFixture(BlockStoreSpec(.file(path: disk.path)))
    try #require(fixture.engine.store.isDirect, "/var/tmp has no direct I/O")
    fixture.engine.learnRegions([fixture.memory.vector(at: 0, byteCount: fixture.memory.byteCount)])
    fixture.fill(0..<8192, with: 7)
    #expect(try fixture.perform(.write, sector: 8, [0..<4096, 4096..<8192]) == .okay)
    #expect(fixture.engine.statistics.fixedTransfers == 1)
    #expect(try disk.bytes(at: 4096, byteCount: 8192) == [UInt8](repeating: 7, count: 8192))
    #expect(try fixture.perform(.read, sector: 8, [16384..<24576]) == .okay)
    #expect(fixture.bytes(16384..<24576) == [UInt8](repeating: 7, count: 8192))
    fixture.engine.forgetBuffers()
    #expect(try fixture.perform(.read, sector: 8, [0..<4096]) == .okay)
    #expect(fixture.engine.statistics.fixedTransfers == 2)
    fixture.close()
  }

  // MARK: Refusals

  @Test func refusesWhatTheDiskCannotDo() throws {
    let fixture = try EngineFixture(BlockStoreSpec(.null(byteCount: 1 << 20), sectorByteCount: 4096))
    let engine = fixture.engine
    let last: UInt64 = 2048
    #expect(engine.refusal(of: .read, sector: 0, sectorCount: last) == nil)
    #expect(engine.refusal(of: .read, sector: last - 8, sectorCount: 16) == .outOfRange)
    #expect(engine.refusal(of: .write, sector: last, sectorCount: 8) == .outOfRange)
    // The sum wraps to something small.
    #expect(engine.refusal(of: .write, sector: .max - 7, sectorCount: 16) == .outOfRange)
    #expect(engine.refusal(of: .discard, sector: 8, sectorCount: .max - 7) == .outOfRange)
    #expect(engine.refusal(of: .read, sector: 1, sectorCount: 8) == .unaligned)
    #expect(engine.refusal(of: .read, sector: 8, sectorCount: 1) == .unaligned)
    #expect(engine.refusal(of: .read, sector: 0, sectorCount: 0) == .empty)
    #expect(engine.refusal(of: .discard, sector: 0, sectorCount: 0) == .empty)
    #expect(engine.refusal(of: .flush, sector: .max, sectorCount: 0) == nil)
    #expect(engine.statistics.refusals(.outOfRange) == 4)
    #expect(engine.statistics.refusals.total == 8)
    fixture.close()
  }

  @Test func aReadOnlyDiskTakesNoData() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let fixture = try EngineFixture(BlockStoreSpec(.file(path: disk.path), isReadOnly: true))
    #expect(fixture.engine.geometry.isReadOnly)
    for operation in [BlockOperation.write, .barrier, .flush, .discard] {
      #expect(fixture.engine.refusal(of: operation, sector: 0, sectorCount: 8) == .readOnly)
    }
    #expect(try fixture.perform(.read, sector: 0, [0..<4096]) == .okay)
    #expect(try fixture.perform(.flush, sector: 0, []) == .okay)
    fixture.close()
  }

  // MARK: Failures

  @Test func remembersThatTheDiskIsFull() throws {
    let full = try OwnedDescriptor.open("/dev/full", flags: O_RDWR)
    let store = BlockStore(
      kind: .file(.init(descriptor: SharedDescriptor(full), path: "/dev/full", isBlockDevice: false)),
      geometry: BlockGeometry(sectorCount: 2048), supportsDiscard: true)
    let fixture = try EngineFixture(store)
    #expect(try fixture.perform(.write, sector: 16, [0..<4096]) == .error)
    #expect(fixture.engine.statistics.failures == 1)
    #expect(fixture.engine.statistics.lastFailure == BlockFailure(operation: .write, byteOffset: 8192, errno: .noSpace))
    #expect(try fixture.perform(.read, sector: 16, [0..<4096]) == .okay, "the next request is not affected")
    fixture.close()
  }

  @Test func aFileThatLostItsEndFailsReadsThere() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let fixture = try EngineFixture(BlockStoreSpec(.file(path: disk.path)))
    try disk.setByteCount(65536)
    // The first half is there: a short transfer, then nothing.
    #expect(try fixture.perform(.read, sector: 64, [0..<65536]) == .error)
    #expect(fixture.engine.statistics.continuations == 1)
    #expect(fixture.engine.statistics.lastFailure == BlockFailure(operation: .read, byteOffset: 65536, errno: .ioError))
    fixture.close()
  }

  @Test func aDiscardThatTheDeviceCannotDoIsNotOfferedAgain() throws {
    // Character devices have no holes: EOPNOTSUPP is what block devices without discard say, ENODEV what this one says.
    let zero = try OwnedDescriptor.open("/dev/zero", flags: O_RDWR)
    let store = BlockStore(
      kind: .file(.init(descriptor: SharedDescriptor(zero), path: "/dev/zero", isBlockDevice: false)),
      geometry: BlockGeometry(sectorCount: 2048), supportsDiscard: true)
    let fixture = try EngineFixture(store)
    let tag = try #require(fixture.submitDiscard(sector: 0, sectorCount: 8))
    fixture.drain()
    #expect(fixture.client.status(of: tag) == .error)
    let request = try #require(fixture.engine.begin(vectorCount: 0))
    fixture.engine.pool.slots[request].operation = .discard
    fixture.engine.pool.slots[request].step = .discard
    fixture.engine.runningCount += 1
    fixture.engine.operationEnded(request, result: -EOPNOTSUPP)
    #expect(fixture.client.endings.last?.status == .notSupported)
    #expect(fixture.engine.refusal(of: .discard, sector: 0, sectorCount: 8) == .notSupported)
    fixture.close()
  }

  // MARK: Sizes

  @Test func discardsGiveTheirBlocksBack() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let fixture = try EngineFixture(BlockStoreSpec(.file(path: disk.path)))
    fixture.fill(0..<1 << 20, with: 1)
    #expect(try fixture.perform(.write, sector: 0, [0..<1 << 20]) == .okay)
    #expect(try fixture.perform(.flush, sector: 0, []) == .okay)
    let before = try disk.occupiedBlockCount()
    let tag = try #require(fixture.submitDiscard(sector: 0, sectorCount: 1024))
    fixture.drain()
    #expect(fixture.client.status(of: tag) == .okay)
    #expect(try disk.occupiedBlockCount() <= before - 1024)
    #expect(try disk.bytes(at: 0, byteCount: 524288) == [UInt8](repeating: 0, count: 524288))
    #expect(try disk.bytes(at: 524288, byteCount: 4096) == [UInt8](repeating: 1, count: 4096))
    fixture.close()
  }

  @Test func followsTheFilesSize() throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let fixture = try EngineFixture(BlockStoreSpec(.file(path: disk.path)))
    try disk.setByteCount(2 << 20)
    #expect(fixture.engine.geometry.sectorCount == 2048)
    #expect(try fixture.engine.refreshSize().sectorCount == 4096)
    #expect(try fixture.perform(.write, sector: 4088, [0..<4096]) == .okay)
    try disk.setByteCount(4096)
    #expect(try fixture.engine.refreshSize().sectorCount == 8)
    #expect(fixture.engine.refusal(of: .read, sector: 8, sectorCount: 8) == .outOfRange)
    try disk.setByteCount(0)
    #expect(throws: Errno.invalidArgument) { try fixture.engine.refreshSize() }
    #expect(throws: Errno.invalidArgument) { try fixture.engine.resize(byteCount: 4096) }
    fixture.close()
  }

  @Test func aDiskInMemoryKeepsItsBytesWhenItGrows() throws {
    let fixture = try EngineFixture(BlockStoreSpec(.memory(byteCount: 8192)))
    fixture.fill(0..<8192, with: 3)
    #expect(try fixture.perform(.write, sector: 0, [0..<8192]) == .okay)
    #expect(try fixture.engine.resize(byteCount: 65536).sectorCount == 128)
    #expect(try fixture.perform(.read, sector: 0, [8192..<8192 + 65536]) == .okay)
    #expect(fixture.bytes(8192..<16384) == [UInt8](repeating: 3, count: 8192))
    #expect(fixture.bytes(16384..<73728) == [UInt8](repeating: 0, count: 57344))
    fixture.close()
  }
}
