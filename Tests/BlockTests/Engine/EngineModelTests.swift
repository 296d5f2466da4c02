import BlockEngine
import SharedMemory
import TestSupport
import Testing

/// The engine against an array of bytes: whatever is written is read back, discarded ranges read as zeros, nothing else changes.
@Suite struct EngineModelTests {
  enum Store: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case directFile, bufferedFile, memory
    var testDescription: String { rawValue }
  }

  static let byteCount = 1 << 20
  static let sectorByteCount = 512

  @Test(arguments: Store.allCases)
  func readsBackWhatWasWritten(_ store: Store) throws {
    let disk = try TestDisk(byteCount: Self.byteCount)
    let spec = switch store {
    case .directFile: BlockStoreSpec(.file(path: disk.path), sectorByteCount: Self.sectorByteCount)
    case .bufferedFile: BlockStoreSpec(.file(path: disk.path), isDirect: false)
    case .memory: BlockStoreSpec(.memory(byteCount: UInt64(Self.byteCount)))
    }
    let fixture = try EngineFixture(spec)
    var model = [UInt8](repeating: 0, count: Self.byteCount)
    var random = SeededGenerator(seed: 42)
    for _ in 0..<25 { try runRound(fixture, &model, &random) }
    if store != .memory { #expect(try disk.bytes(at: 0, byteCount: Self.byteCount) == model) }
    #expect(fixture.engine.statistics.failures == 0)
    fixture.close()
  }

  /// Up to sixteen requests at once on ranges that do not overlap.
  private func runRound(_ fixture: EngineFixture, _ model: inout [UInt8], _ random: inout SeededGenerator) throws {
    let slotByteCount = Self.byteCount / 16
    var reads: [(stretches: [Range<Int>], expected: [UInt8])] = []
    var tags: [UInt64] = []
    for slot in 0..<16 {
      let sectors = Int.random(in: 1...slotByteCount / 512, using: &random)
      let start = slot * slotByteCount + Int.random(in: 0...(slotByteCount / 512 - sectors), using: &random) * 512
      let range = start..<start + sectors * 512
      let stretches = scatter(sectors, slot: slot, &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<4:
        tags.append(try #require(fixture.submit(.read, sector: UInt64(start / 512), stretches)))
        reads.append((stretches, Array(model[range])))
      case 4..<8:
        let operation: BlockOperation = [.write, .write, .flush, .barrier].randomElement(using: &random) ?? .write
        // A random start and a step of one: any byte that lands in a wrong place shows.
        let first = Int.random(in: 0...255, using: &random)
        let bytes = (0..<range.count).map { UInt8(truncatingIfNeeded: first + $0 + $0 / 512) }
        var position = 0
        for stretch in stretches {
          fixture.memory.copyIn(Array(bytes[position..<position + stretch.count]), at: stretch.lowerBound)
          position += stretch.count
        }
        tags.append(try #require(fixture.submit(operation, sector: UInt64(start / 512), stretches)))
        model.replaceSubrange(range, with: bytes)
      case 8:
        tags.append(try #require(fixture.submitDiscard(sector: UInt64(start / 512), sectorCount: UInt64(sectors))))
        model.replaceSubrange(range, with: repeatElement(0, count: range.count))
      default:
        tags.append(try #require(fixture.submit(.flush, sector: .max, [])))
      }
    }
    fixture.drain()
    for tag in tags { #expect(fixture.client.status(of: tag) == .okay) }
    for read in reads { #expect(read.stretches.flatMap { fixture.bytes($0) } == read.expected) }
    fixture.client.endings.removeAll()
  }

  /// Splits `sectors` into stretches of random length with random gaps between them, in the slot's part of the memory.
  private func scatter(_ sectors: Int, slot: Int, _ random: inout SeededGenerator) -> [Range<Int>] {
    var stretches: [Range<Int>] = []
    var offset = slot * (8 << 20) / 16
    var left = sectors
    while left > 0 {
      let count = Int.random(in: 1...min(left, 16), using: &random)
      stretches.append(offset..<offset + count * 512)
      offset += count * 512 + Int.random(in: 0...2, using: &random) * 512
      left -= count
    }
    return stretches
  }
}
