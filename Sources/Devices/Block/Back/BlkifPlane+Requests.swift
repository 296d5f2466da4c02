import BlockEngine
import BlockInterface
import EventLoop
import Logging
import PVDriver
import SharedMemory
import XenInterface
import XenPlatform

// From a copied request to one that the engine runs. Everything is checked on copies; what is wrong is answered, never trusted.
extension BlkifPlane {
  /// Handles one request. False when the engine has no room: try it again after a completion.
  func handle(_ request: BlkifRequest, of queue: BlkifQueue) -> Bool {
    switch BlkifOperation(rawValue: request.operation) {
    case .read: return handleDirect(request, .read, of: queue)
    case .write: return handleDirect(request, .write, of: queue)
    case .flush where features.flush: return handleDirect(request, .flush, of: queue)
    case .writeBarrier where features.barrier: return handleDirect(request, .barrier, of: queue)
    case .discard where features.discard != nil: return handleDiscard(BlkifRequestDiscard(slot: request), of: queue)
    case .indirect where features.maximumIndirectSegmentCount > 0:
      return handleIndirect(BlkifRequestIndirect(slot: request), of: queue)
    case .flush, .writeBarrier, .discard, .indirect, .reserved, nil:
      reject(.operation(request.operation), queue, identifier: request.identifier, operation: request.operation)
      return true
    }
  }

  // MARK: Direct

  private func handleDirect(_ request: BlkifRequest, _ operation: BlockOperation, of queue: BlkifQueue) -> Bool {
    let count = Int(request.segmentCount)
    guard count <= BlkifLimits.segmentsPerRequest else {
      reject(.segmentCount(count), queue, identifier: request.identifier, operation: request.operation)
      return true
    }
    guard let index = engine.begin(vectorCount: count) else { return false }
    for position in 0..<count { segments[position] = request.segment(at: position) }
    let row = Row(identifier: request.identifier, queue: Int32(queue.index), operation: request.operation)
    start(index, row, operation, sector: sector(request.sectorNumber), segmentCount: count, of: queue)
    return true
  }

  // MARK: Indirect

  private func handleIndirect(_ request: BlkifRequestIndirect, of queue: BlkifQueue) -> Bool {
    let operation: BlockOperation
    switch BlkifOperation(rawValue: request.indirectOperation) {
    case .read: operation = .read
    case .write: operation = .write
    case .writeBarrier, .flush, .reserved, .discard, .indirect, nil:
      reject(.indirectOperation(request.indirectOperation), queue, identifier: request.identifier, operation: request.indirectOperation)
      return true
    }
    let count = Int(request.segmentCount)
    guard count > 0, count <= features.maximumIndirectSegmentCount else {
      reject(.segmentCount(count), queue, identifier: request.identifier, operation: request.indirectOperation)
      return true
    }
    guard let index = engine.begin(vectorCount: count) else { return false }
    do throws(GrantError) {
      try copySegments(request, count: count, tablePageIndex: engine.firstVector(of: index))
    } catch {
      engine.abandon(index)
      rejectGrant(error, queue, identifier: request.identifier, operation: request.indirectOperation)
      return true
    }
    let row = Row(identifier: request.identifier, queue: Int32(queue.index), operation: request.indirectOperation)
    start(index, row, operation, sector: sector(request.sectorNumber), segmentCount: count, of: queue)
    return true
  }

  /// Copies the segments out of the request's pages, each word once: the front-end can go on writing there (XSA-155).
  private func copySegments(_ request: BlkifRequestIndirect, count: Int, tablePageIndex: Int) throws(GrantError) {
    var position = 0
    var table = 0
    while position < count {
      // One at a time, in the place of the request's first page, which is not mapped yet.
      let page = try pages.hold(request.indirectGrantReference(at: table), writable: false, at: tablePageIndex)
      let bytes = pages.grants.bytes(of: page)
      let end = min(count, position + BlkifLimits.segmentsPerIndirectPage)
      var offset = 0
      while position < end {
        segments[position] = BlkifSegment(copying: bytes, at: offset)
        offset += BlkifSegment.byteCount
        position += 1
      }
      pages.release(first: tablePageIndex, count: 1)
      table += 1
    }
  }

  // MARK: Both

  /// A number of the front-end's in units of 512 bytes; one that is too large for that is beyond every disk.
  private func sector(_ number: UInt64) -> UInt64 { number > .max >> requestShift ? .max : number << requestShift }

  /// Checks the copied segments, maps their pages, and gives the request to the engine.
  private func start(
    _ index: Int, _ row: Row, _ operation: BlockOperation, sector: UInt64, segmentCount: Int, of queue: BlkifQueue
  ) {
    var sectorCount: UInt64 = 0
    for position in 0..<segmentCount {
      let segment = segments[position]
      guard segment.firstSector <= segment.lastSector, Int(segment.lastSector) < BlkifLimits.sectorsPerPage >> segmentShift else {
        engine.abandon(index)
        return reject(.segment(first: segment.firstSector, last: segment.lastSector), queue, row)
      }
      sectorCount += (UInt64(segment.lastSector - segment.firstSector) + 1) << UInt64(segmentShift)
    }
    if let refusal = engine.refusal(of: operation, sector: sector, sectorCount: sectorCount) {
      engine.abandon(index)
      return reject(.refused(refusal), queue, row)
    }
    if tracer.isOn {
      tracer.begin(index, queue: queue.index, operation: Int(operation.rawValue), byteCount: sectorCount * 512, position: sector &* 512)
    }
    do throws(GrantError) {
      try mapSegments(index, count: segmentCount, writable: operation == .read)
    } catch {
      engine.abandon(index)
      return rejectGrant(error, queue, identifier: row.identifier, operation: row.operation)
    }
    rows[index] = row
    rows[index].pageCount = Int32(segmentCount)
    began()
    if tracer.isOn {
      if segmentCount > 0 { tracer.mark(.map, index) }
      tracer.mark(.submit, index)
    }
    engine.submit(index, operation, sector: sector, tag: UInt64(index))
  }

  /// All or nothing: one page that cannot be mapped, and none stays mapped (XSA-361, XSA-365).
  private func mapSegments(_ index: Int, count: Int, writable: Bool) throws(GrantError) {
    let first = engine.firstVector(of: index)
    if pages.holdsTogether { try pages.hold(first: first, count: count, writable: writable) { segments[$0].grantReference } }
    for position in 0..<count {
      let segment = segments[position]
      let page: MappedPage
      if pages.holdsTogether {
        page = pages.page(at: first + position)
      } else {
        do throws(GrantError) {
          page = try pages.hold(segment.grantReference, writable: writable, at: first + position)
        } catch {
          pages.release(first: first, count: position)
          throw error
        }
      }
      if Int(page.arena) >= engine.knownRegionCount { engine.learnRegions(pages.grants.accessibleRanges) }
      let start = Int(segment.firstSector) * BlkifLimits.sectorByteCount << segmentShift
      let end = (Int(segment.lastSector) + 1) * BlkifLimits.sectorByteCount << segmentShift
      engine.append(page.vector(at: start, byteCount: end - start), region: page.arena, to: index)
    }
  }

  // MARK: Discard

  private func handleDiscard(_ request: BlkifRequestDiscard, of queue: BlkifQueue) -> Bool {
    let row = Row(identifier: request.identifier, queue: Int32(queue.index), operation: request.operation)
    // The header lets a back-end ignore the flag it does not offer; saying so is better than not erasing.
    if BlkifDiscardFlags(rawValue: request.flags).contains(.secure), features.discard?.isSecure != true {
      reject(.operation(request.operation), queue, row)
      return true
    }
    guard let index = engine.begin(vectorCount: 0) else { return false }
    if let refusal = engine.refusal(of: .discard, sector: sector(request.sectorNumber), sectorCount: sector(request.sectorCount)) {
      engine.abandon(index)
      reject(.refused(refusal), queue, row)
      return true
    }
    rows[index] = row
    began()
    let (first, count) = (sector(request.sectorNumber), sector(request.sectorCount))
    if tracer.isOn {
      tracer.begin(
        index, queue: queue.index, operation: Int(BlockOperation.discard.rawValue), byteCount: count &* 512, position: first &* 512)
      tracer.mark(.submit, index)
    }
    engine.submitDiscard(index, sector: first, sectorCount: count, tag: UInt64(index))
    return true
  }

  // MARK: Refusing

  private func reject(_ rejection: BlkifRejection, _ queue: BlkifQueue, _ row: Row) {
    reject(rejection, queue, identifier: row.identifier, operation: row.operation)
  }

  func reject(_ rejection: BlkifRejection, _ queue: BlkifQueue, identifier: UInt64, operation: UInt8) {
    queue.state.value.counters.rejections.count(rejection)
    if let heldBack = limiter.admit() {
      logger.warning("queue \(queue.index): request refused: \(rejection)", metadata: heldBack > 0 ? ["held-back": "\(heldBack)"] : nil)
    }
    answer(queue, identifier: identifier, operation: operation, rejection.status)
  }

  func rejectGrant(_ error: GrantError, _ queue: BlkifQueue, identifier: UInt64, operation: UInt8) {
    queue.state.value.counters.rejections.count(.grant)
    if let heldBack = limiter.admit() {
      logger.warning("queue \(queue.index): request refused: \(error)", metadata: heldBack > 0 ? ["held-back": "\(heldBack)"] : nil)
    }
    answer(queue, identifier: identifier, operation: operation, BlkifRejection.grant.status)
  }
}
