@testable import BlockBack
import BlockEngine
import BlockInterface
import EventLoop
import Logging
import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform

/// A block back-end in domain 0 and a raw front in domain 7, in one process, on one thread, turned by hand.
final class BackSystem {
  static let guest = DomainID(rawValue: 7)

  let hypervisor = SimulatedHypervisor(seed: 1)
  let backPlatform: SimulatedPlatform
  let loop: EventLoop
  let engine: BlockEngine
  let arena: GrantArena
  private(set) var queues: [RawQueue] = []
  private(set) var plane: BlkifPlane?
  var faults: [RingFault] = []
  /// Pages still mapped after the last disconnect; nil while it is under way.
  private(set) var leakedPageCount: Int? = 0
  private let configuration: BlkifPlane.Configuration
  private let transport: BlockTransport
  private let logger: Logger
  private var lastIdentifier: UInt64 = 0

  init(
    _ spec: BlockStoreSpec = BlockStoreSpec(.memory(byteCount: 4 << 20)), queueCount: Int = 1, order: Int = 0,
    layout: BlkifProtocol = .x8664, persistentGrantLimit: Int? = nil, maximumIndirectSegmentCount: Int = 4096, arenaPageCount: Int = 4600,
    family: FrontendFamily = .linux, trace: TraceFile? = nil,
    logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  ) throws {
    let frontPlatform = hypervisor.platform(for: Self.guest)
    backPlatform = hypervisor.platform(for: .control)
    loop = try EventLoop(name: "test")
    engine = BlockEngine(store: try BlockStore.open(spec), loop: loop)
    let arena = try frontPlatform.makeGrantArena(for: .control, access: .readWrite, pageCount: arenaPageCount)
    self.arena = arena
    self.logger = logger
    var configuration = BlkifPlane.Configuration(
      features: BlockFeatures(
        maximumQueueCount: 8, maximumRingPageOrder: 4, maximumIndirectSegmentCount: maximumIndirectSegmentCount,
        persistentGrants: persistentGrantLimit != nil, flush: true, barrier: true,
        discard: engine.store.supportsDiscard ? BlockDiscardLimits() : nil))
    configuration.polling = .never
    configuration.trace = trace
    configuration.persistentGrantLimit = persistentGrantLimit ?? 0
    configuration.frontendFamily = family
    self.configuration = configuration
    var queues: [RawQueue] = []
    for _ in 0..<queueCount {
      queues.append(RawQueue(arena: arena, order: order, layout: layout, channel: try frontPlatform.allocateUnboundChannel(for: .control)))
    }
    self.queues = queues
    transport = BlockTransport(
      protocol: layout, queues: queues.map { .init(ringReferences: $0.ringReferences, port: $0.channel.port) },
      persistentGrants: persistentGrantLimit != nil)
    try connect()
  }

  func connect() throws {
    let channels = try queues.map { try backPlatform.bindInterdomainChannel(remote: Self.guest, port: $0.channel.port) }
    plane = try BlkifPlane(
      engine: engine, grants: try backPlatform.foreignGrants(of: Self.guest), transport: transport, channels: channels,
      configuration: configuration, logger: logger
    ) { [unowned self] _, fault in faults.append(fault) }
  }

  /// Begins to disconnect; ``leakedPageCount`` says when it is done.
  func beginDisconnect() {
    leakedPageCount = nil
    plane?.stop { [unowned self] leaked in
      leakedPageCount = leaked
      plane = nil
    }
  }

  func disconnect() {
    beginDisconnect()
    while leakedPageCount == nil { loop.turn(maySleep: false) }
  }

  /// Ends everything and checks that nothing is left behind.
  func finish(sourceLocation: SourceLocation = #_sourceLocation) {
    if plane != nil { disconnect() }
    #expect(leakedPageCount == 0, sourceLocation: sourceLocation)
    #expect(engine.requestsInFlight == 0, sourceLocation: sourceLocation)
    #expect(hypervisor.ledger[.control] == ResourceLedger.Account(), sourceLocation: sourceLocation)
    for page in 0..<arena.pageCount { #expect(arena.endAccess(page: page), "page \(page) is still mapped", sourceLocation: sourceLocation) }
    engine.close()
    loop.shutDown()
  }

  // MARK: Requests

  /// A request over `segments`, with an identifier of its own.
  func request(_ operation: BlkifOperation, sector: UInt64 = 0, _ segments: [BlkifSegment] = []) -> BlkifRequest {
    lastIdentifier += 1
    var request = BlkifRequest()
    request.operation = operation.rawValue
    request.segmentCount = UInt8(segments.count)
    request.identifier = lastIdentifier
    request.sectorNumber = sector
    for (index, segment) in segments.prefix(11).enumerated() { request.setSegment(segment, at: index) }
    return request
  }

  /// An indirect request; its table pages are granted, and filled with `segments`.
  func indirect(_ operation: BlkifOperation, sector: UInt64 = 0, _ segments: [BlkifSegment]) -> BlkifRequestIndirect {
    lastIdentifier += 1
    var request = BlkifRequestIndirect()
    request.operation = BlkifOperation.indirect.rawValue
    request.indirectOperation = operation.rawValue
    request.segmentCount = UInt16(segments.count)
    request.identifier = lastIdentifier
    request.sectorNumber = sector
    for table in 0..<(segments.count + 511) / 512 {
      let page = newPage()
      for (index, segment) in segments[(table * 512)..<min(segments.count, table * 512 + 512)].enumerated() {
        segment.store(to: arena.bytes, at: page * pageByteCount + index * 8)
      }
      request.setIndirectGrantReference(arena.grant(page: page, readOnly: !configuration.features.persistentGrants), at: table)
    }
    return request
  }

  func discard(sector: UInt64, sectorCount: UInt64, secure: Bool = false) -> BlkifRequestDiscard {
    lastIdentifier += 1
    var request = BlkifRequestDiscard()
    request.operation = BlkifOperation.discard.rawValue
    request.flags = secure ? BlkifDiscardFlags.secure.rawValue : 0
    request.identifier = lastIdentifier
    request.sectorNumber = sector
    request.sectorCount = sectorCount
    return request
  }

  func newPage() -> Int {
    guard let page = arena.allocatePage() else { fatalError("the arena is too small") }
    return page
  }

  func segment(_ page: Int, _ first: UInt8 = 0, _ last: UInt8 = 7, readOnly: Bool = false) -> BlkifSegment {
    segment(arena.grant(page: page, readOnly: readOnly), first, last)
  }

  func segment(_ reference: GrantReference, _ first: UInt8 = 0, _ last: UInt8 = 7) -> BlkifSegment {
    var segment = BlkifSegment()
    segment.grantReference = reference
    segment.firstSector = first
    segment.lastSector = last
    return segment
  }

  func fill(_ page: Int, with byte: UInt8) { arena.bytes.copyIn([UInt8](repeating: byte, count: pageByteCount), at: page * pageByteCount) }
  func bytes(_ page: Int) -> [UInt8] { arena.bytes.copyOut(at: page * pageByteCount, byteCount: pageByteCount) }

  // MARK: Turns

  /// Turns until `count` responses have come on `queue`, and returns them.
  func responses(_ count: Int, of queue: Int = 0) throws -> [BlkifResponse] {
    var responses: [BlkifResponse] = []
    while responses.count < count {
      loop.turn(maySleep: false)
      while let response = try queues[queue].take() { responses.append(response) }
    }
    return responses
  }

  /// Publishes what was put on `queue` and waits for one response.
  func response(of queue: Int = 0) throws -> BlkifResponse {
    queues[queue].publish()
    return try #require(try responses(1, of: queue).first)
  }

  func perform(_ request: BlkifRequest, on queue: Int = 0) throws -> BlkifStatus? {
    queues[queue].put(request)
    return try status(request.identifier, request.operation, on: queue)
  }

  func perform(_ request: BlkifRequestIndirect, on queue: Int = 0) throws -> BlkifStatus? {
    queues[queue].put(request)
    return try status(request.identifier, request.indirectOperation, on: queue)
  }

  func perform(_ request: BlkifRequestDiscard, on queue: Int = 0) throws -> BlkifStatus? {
    queues[queue].put(request)
    return try status(request.identifier, request.operation, on: queue)
  }

  private func status(_ identifier: UInt64, _ operation: UInt8, on queue: Int) throws -> BlkifStatus? {
    let response = try response(of: queue)
    #expect(response.identifier == identifier)
    #expect(response.operation == operation)
    return BlkifStatus(rawValue: response.status)
  }
}
