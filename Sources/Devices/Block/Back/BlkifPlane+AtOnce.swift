import BlockEngine
import BlockInterface
import EventLoop
import SharedMemory
import XenInterface
import XenPlatform

// Reads and writes of a disk in memory end within the turn that takes them: they need none of the engine's requests, no
// rows and no lists, which would cost as much as the copy.
extension BlkifPlane {
  /// Checks, maps, moves, unmaps and answers one direct request, in that order, as ``start(_:_:_:sector:segmentCount:of:)``
  /// does over several turns.
  func transferAtOnce(_ request: BlkifRequest, segmentCount: Int, _ operation: BlockOperation, of queue: BlkifQueue) {
    var sectorCount: UInt64 = 0
    for position in 0..<segmentCount {
      let segment = request.segment(at: position)
      guard segment.firstSector <= segment.lastSector, Int(segment.lastSector) < BlkifLimits.sectorsPerPage else {
        return reject(
          .segment(first: segment.firstSector, last: segment.lastSector), queue, identifier: request.identifier, operation: request.operation)
      }
      sectorCount += UInt64(segment.lastSector - segment.firstSector) + 1
    }
    if let refusal = engine.refusal(of: operation, sector: request.sectorNumber, sectorCount: sectorCount) {
      return reject(.refused(refusal), queue, identifier: request.identifier, operation: request.operation)
    }
    let grants = pages.grants
    var mapped = InlineArray<11, MappedPage>(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false))
    var mappedCount = 0
    do throws(GrantError) {
      // All before anything is moved: a request with a bad page does nothing.
      while mappedCount < segmentCount {
        mapped[mappedCount] = try grants.map(request.segment(at: mappedCount).grantReference, writable: operation == .read)
        mappedCount += 1
      }
    } catch {
      for position in 0..<mappedCount { grants.unmap(mapped[position]) }
      return rejectGrant(error, queue, identifier: request.identifier, operation: request.operation)
    }
    var byteOffset = Int(request.sectorNumber) * BlkifLimits.sectorByteCount
    for position in 0..<segmentCount {
      let segment = request.segment(at: position)
      let start = Int(segment.firstSector) * BlkifLimits.sectorByteCount
      let end = (Int(segment.lastSector) + 1) * BlkifLimits.sectorByteCount
      engine.moveAtOnce(operation, byteOffset: byteOffset, mapped[position].vector(at: start, byteCount: end - start))
      byteOffset += end - start
    }
    for position in 0..<segmentCount { grants.unmap(mapped[position]) }
    engine.countAtOnce(operation, sectorCount: sectorCount)
    answer(queue, identifier: request.identifier, operation: request.operation, .okay)
  }
}
