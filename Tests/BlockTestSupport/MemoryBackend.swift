public import EventLoop
import SharedMemory
import SharedRing
public import XenInterface
public import XenPlatform

/// A back-end over an array of bytes, as plain as can be, and one that breaks the rules on request.
/// An independent reading of the protocol: it shares no code with the real back-end. Loop thread only.
public final class MemoryBackend: LoopSource {
  /// What it does wrong.
  public enum Misbehaviour: Sendable, CaseIterable {
    case none
    /// Answers with an identifier that no request can have.
    case unknownIdentifier
    case answersTwice
    case wrongOperation
    /// Moves `rsp_prod` beyond what was requested.
    case tooManyResponses
    /// Answers and keeps the pages mapped.
    case keepsMapped
    /// Takes requests and says nothing.
    case silent
    /// Answers every read and write with an error.
    case failsTransfers
    /// Offers flush and discard, and does not know them when they come.
    case refusesExtras
  }

  public var bytes: [UInt8]
  public var misbehaviour: Misbehaviour
  /// Requests taken, by raw operation.
  public private(set) var taken: [UInt8: Int] = [:]
  public private(set) var discardedSectors: UInt64 = 0
  /// Most segments seen in one request.
  public private(set) var largestSegmentCount = 0
  /// Pages that are mapped now.
  public var mappedPageCount: Int { grants.mappedPageCount }

  private let grants: ForeignGrants
  private let isPersistent: Bool
  private var persistent: [GrantReference: MappedPage] = [:]
  private var queues: [Queue] = []

  private final class Queue {
    let mapping: GrantMappingBox
    var ring: BackRing<BlkifRequest, BlkifResponse>
    var channel: LoopEventChannel?

    init(_ mapping: consuming GrantMapping) throws(RingFault) {
      self.mapping = GrantMappingBox(mapping)
      ring = try BackRing(attaching: self.mapping.bytes, entryByteCount: BlkifRequest.byteCount)
    }
  }
  private final class GrantMappingBox {
    let mapping: GrantMapping
    var bytes: SharedBytes { mapping.bytes }
    init(_ mapping: consuming GrantMapping) { self.mapping = mapping }
  }

  public init(byteCount: Int, grants: ForeignGrants, isPersistent: Bool, misbehaviour: Misbehaviour = .none) {
    bytes = Array(repeating: 0, count: byteCount)
    self.grants = grants
    self.isPersistent = isPersistent
    self.misbehaviour = misbehaviour
  }

  /// Maps a queue's ring and serves it. `channel` is bound already.
  public func serve(ring references: [GrantReference], channel: EventChannel) throws {
    let queue = try Queue(try grants.mapContiguously(references))
    queue.channel = LoopEventChannel(channel, loop: loop) { [weak queue] in queue?.channel?.rearm(spurious: false) }
    queues.append(queue)
  }

  /// Lets go of everything, as a process that ends. Its event channels close, when their last holder has gone.
  public func stop(_ done: @escaping () -> Void) {
    var open = queues.count
    if open == 0 { return done() }
    for queue in queues {
      queue.channel?.close { [self] in
        open -= 1
        if open > 0 { return }
        for page in persistent.values { grants.unmap(page) }
        persistent = [:]
        queues = []
        loop?.detach(self)
        done()
      }
    }
  }

  public override func service() -> Service {
    var worked = false
    for queue in queues {
      while let request = try? queue.ring.takeRequest() {
        worked = true
        handle(request, queue)
      }
      if queue.ring.publishResponses() { queue.channel?.signal() }
    }
    return worked ? .worked : .idle
  }

  public override func prepareToSleep() -> Bool {
    var pending = false
    for queue in queues where (try? queue.ring.armRequestEvent()) == true { pending = true }
    return pending
  }

  // MARK: Requests

  private func handle(_ request: BlkifRequest, _ queue: Queue) {
    taken[request.operation, default: 0] += 1
    if misbehaviour == .silent { return }
    var operation = BlkifOperation(rawValue: request.operation)
    var status = BlkifStatus.okay
    switch operation {
    case .read, .write:
      let segments = (0..<Int(request.segmentCount)).map { request.segment(at: $0) }
      status = transfer(operation == .write, sector: request.sectorNumber, segments) ? .okay : .error
    case .indirect:
      let indirect = BlkifRequestIndirect(slot: request)
      operation = BlkifOperation(rawValue: indirect.indirectOperation)
      let segments = readSegments(indirect)
      status = transfer(operation == .write, sector: indirect.sectorNumber, segments) ? .okay : .error
    case .flush, .writeBarrier: status = misbehaviour == .refusesExtras ? .notSupported : .okay
    case .discard:
      let discard = BlkifRequestDiscard(slot: request)
      discardedSectors += discard.sectorCount
      status = misbehaviour == .refusesExtras ? .notSupported : .okay
      let start = Int(discard.sectorNumber) * 512
      if status == .okay { for index in start..<start + Int(discard.sectorCount) * 512 { bytes[index] = 0 } }
    default: status = .notSupported
    }
    answer(request.identifier, operation?.rawValue ?? request.operation, status, queue)
  }

  private func answer(_ identifier: UInt64, _ operation: UInt8, _ status: BlkifStatus, _ queue: Queue) {
    var response = BlkifResponse()
    response.identifier = misbehaviour == .unknownIdentifier ? 0xFFFF_0000_0000 | 0xFFFF : identifier
    response.operation = misbehaviour == .wrongOperation ? operation ^ 1 : operation
    response.status = status.rawValue
    if misbehaviour == .answersTwice, let previous { response = previous }
    previous = response
    queue.ring.putResponse(response)
    if misbehaviour == .tooManyResponses {
      _ = queue.ring.publishResponses()
      let bytes = queue.mapping.bytes
      bytes.storeRelease32(bytes.load32(at: 8) &+ 100, at: 8)
      queue.channel?.signal()
    }
  }
  /// The last answer: given again in place of the next one by a back-end that answers twice.
  private var previous: BlkifResponse?

  private func readSegments(_ request: BlkifRequestIndirect) -> [BlkifSegment] {
    var segments: [BlkifSegment] = []
    let count = Int(request.segmentCount)
    for table in 0..<(count + 511) / 512 {
      guard let page = map(request.indirectGrantReference(at: table), writable: false) else { return [] }
      let memory = grants.bytes(of: page)
      for index in 0..<min(512, count - table * 512) {
        memory.withSlot(at: index * 8, byteCount: 8) { segments.append(BlkifSegment(copying: $0, at: 0)) }
      }
      unmap(page)
    }
    return segments
  }

  private func transfer(_ isWrite: Bool, sector: UInt64, _ segments: [BlkifSegment]) -> Bool {
    if misbehaviour == .failsTransfers { return false }
    largestSegmentCount = max(largestSegmentCount, segments.count)
    var position = Int(sector) * 512
    for segment in segments {
      let offset = Int(segment.firstSector) * 512
      let count = (Int(segment.lastSector) - Int(segment.firstSector) + 1) * 512
      guard position + count <= bytes.count, let page = map(segment.grantReference, writable: !isWrite) else { return false }
      let memory = grants.bytes(of: page)
      if isWrite {
        memory.copyOut(at: offset, byteCount: count, into: &bytes, at: position)
      } else {
        memory.copyIn(bytes, from: position, byteCount: count, at: offset)
      }
      unmap(page)
      position += count
    }
    return true
  }

  private func map(_ reference: GrantReference, writable: Bool) -> MappedPage? {
    if let page = persistent[reference] { return page }
    guard let page = try? grants.map(reference, writable: writable || isPersistent) else { return nil }
    if isPersistent { persistent[reference] = page }
    return page
  }

  private func unmap(_ page: MappedPage) {
    if isPersistent || misbehaviour == .keepsMapped { return }
    grants.unmap(page)
  }
}
