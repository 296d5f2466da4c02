import BlockBack
import BlockEngine
import BlockInterface
import TestSupport
import Testing
import XenInterface

/// Families of front-ends count large sectors in their own units; what they mean ends up in the same place.
@Suite struct FrontendFamilyTests {
  private static let native = 4096
  private static let sector: UInt64 = 3

  /// The first sector, the segment of a whole page and the size of a disk of 1 MiB, as each family says them.
  private static func words(_ family: FrontendFamily) -> (sector: UInt64, last: UInt8, capacity: String) {
    switch family {
    case .linux: (sector * 8, 7, "2048")
    case .freebsd: (sector, 7, "256")
    case .minios: (sector * 8, 7, "256")
    case .windows: (sector, 0, "256")
    }
  }

  @Test(arguments: FrontendFamily.allCases) func aWriteEndsUpWhereTheFamilyMeansIt(family: FrontendFamily) throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path), sectorByteCount: Self.native), family: family)
    let (sector, last, capacity) = Self.words(family)
    #expect(system.engine.geometry.keys(for: family)["sectors"] == capacity)
    #expect(system.engine.geometry.keys(for: family)["sector-size"] == "4096")
    let page = system.newPage()
    system.fill(page, with: 0xA5)
    #expect(try system.perform(system.request(.write, sector: sector, [system.segment(page, 0, last)])) == .okay)
    #expect(try disk.bytes(at: Int(Self.sector) * Self.native, byteCount: Self.native) == [UInt8](repeating: 0xA5, count: Self.native))
    #expect(try disk.bytes(at: 0, byteCount: Int(Self.sector) * Self.native) == [UInt8](repeating: 0, count: Int(Self.sector) * Self.native))
    system.fill(page, with: 0)
    #expect(try system.perform(system.request(.read, sector: sector, [system.segment(page, 0, last)])) == .okay)
    #expect(system.bytes(page) == [UInt8](repeating: 0xA5, count: Self.native))
    system.finish()
  }

  @Test(arguments: FrontendFamily.allCases) func withSmallSectorsAllAgree(family: FrontendFamily) throws {
    let disk = try TestDisk(byteCount: 1 << 20)
    let system = try BackSystem(BlockStoreSpec(.file(path: disk.path), sectorByteCount: 512), family: family)
    #expect(system.engine.geometry.keys(for: family)["sectors"] == "2048")
    let page = system.newPage()
    system.fill(page, with: 0x5A)
    #expect(try system.perform(system.request(.write, sector: 5, [system.segment(page, 2, 3)])) == .okay)
    #expect(try disk.bytes(at: 5 * 512, byteCount: 1024) == [UInt8](repeating: 0x5A, count: 1024))
    system.finish()
  }

  /// Numbers that overflow once they are scaled are beyond the disk, not at its beginning.
  @Test(arguments: FrontendFamily.allCases, [UInt64.max, .max >> 3, (.max >> 3) + 1, 1 << 61])
  func aSectorThatOverflowsIsRefused(family: FrontendFamily, sector: UInt64) throws {
    let system = try BackSystem(BlockStoreSpec(.memory(byteCount: 1 << 20), sectorByteCount: Self.native), family: family)
    let page = system.newPage()
    #expect(try system.perform(system.request(.write, sector: sector, [system.segment(page, 0, Self.words(family).last)])) == .error)
    system.finish()
  }

  @Test func aSegmentOfLargeSectorsStaysInItsPage() throws {
    let system = try BackSystem(BlockStoreSpec(.memory(byteCount: 1 << 20), sectorByteCount: Self.native), family: .windows)
    let page = system.newPage()
    for last in 1...7 { #expect(try system.perform(system.request(.read, sector: 0, [system.segment(page, 0, UInt8(last))])) == .error) }
    system.finish()
  }
}
