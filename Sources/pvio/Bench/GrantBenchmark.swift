import LinuxSystem
import SharedMemory
import XenInterface
import XenPlatform

/// Times the mapper's side of grants in one thread: what a back-end pays for each page of a request.
enum GrantBenchmark {
  private static let pageCount = 1024
  private static let mapsPerRound = 4_000_000

  /// Nanoseconds for one `map` and one `unmap` of a page of an arena that is open already.
  static func mapAndUnmapNanoseconds() throws -> Double {
    let granter = try BenchGranter(pageCount: pageCount)
    let grants: ForeignGrants = SharedForeignGrants(granter: DomainID(rawValue: 1), mappedBy: .control, source: granter)
    _ = try run(grants, from: granter.firstReference, count: pageCount)
    return try run(grants, from: granter.firstReference, count: mapsPerRound)
  }

  /// Nanoseconds for one page's way on the granter's side: taken, granted, taken back, freed.
  static func grantAndRevokeNanoseconds() throws -> Double {
    let (_, mappings) = try ArenaFiles.make(access: .readWrite, pageCount: pageCount)
    let memory = mappings.memory(firstReference: GrantReference(rawValue: 256), pageCount: pageCount)
    let arena = GrantArena(peer: .control, access: .readWrite, memory: memory, release: {})
    let start = MonotonicClock.nowNanoseconds
    for _ in 0..<mapsPerRound {
      guard let page = arena.allocatePage() else { throw BenchFailure("the arena ran out of pages") }
      arena.grant(page: page)
      guard arena.endAccess(page: page) else { throw BenchFailure("a page is mapped that nobody maps") }
      arena.free(page: page)
    }
    return Double(MonotonicClock.nowNanoseconds - start) / Double(mapsPerRound)
  }

  private static func run(_ grants: ForeignGrants, from first: GrantReference, count: Int) throws -> Double {
    let start = MonotonicClock.nowNanoseconds
    for index in 0..<count {
      let reference = GrantReference(rawValue: first.rawValue + UInt32(index % pageCount))
      grants.unmap(try grants.map(reference, writable: true))
    }
    return Double(MonotonicClock.nowNanoseconds - start) / Double(count)
  }
}

/// A granter in the same process: no broker is needed to time what needs no broker.
private final class BenchGranter: ForeignArenaSource {
  let firstReference = GrantReference(rawValue: 256)
  private let files: ArenaFiles
  private let pageCount: Int

  init(pageCount: Int) throws {
    self.pageCount = pageCount
    let (files, mappings) = try ArenaFiles.make(access: .readWrite, pageCount: pageCount)
    self.files = files
    let memory = mappings.memory(firstReference: firstReference, pageCount: pageCount)
    let arena = GrantArena(peer: .control, access: .readWrite, memory: memory, release: {})
    for page in 0..<pageCount { arena.grant(page: page) }
  }

  func openArena(containing reference: GrantReference, of granter: DomainID) throws(PlatformError) -> ForeignArena? {
    try files.openAsMapper(firstReference: firstReference, access: .readWrite, pageCount: pageCount)
  }
}
