@testable import BlockEngine
import BlockInterface
import EventLoop
import SharedMemory
import Testing

/// An engine on a loop that the test turns by hand, with memory to read into and write from.
final class EngineFixture {
  let loop: EventLoop
  let engine: BlockEngine
  let memory: SharedBytes
  let client = Recorder()
  private var lastTag: UInt64 = 0

  /// Keeps the order in which requests ended.
  final class Recorder: BlockEngineClient {
    var endings: [(tag: UInt64, status: BlockStatus)] = []
    override func completed(tag: UInt64, status: BlockStatus) { endings.append((tag, status)) }
    func status(of tag: UInt64) -> BlockStatus? { endings.first { $0.tag == tag }?.status }
  }

  init(
    _ store: sending BlockStore, sizing: BlockEngine.Sizing = .init(requestCount: 32, maximumVectorCount: 4096),
    memoryByteCount: Int = 8 << 20, operationLimit: Int = 1024
  ) throws {
    var configuration = EventLoop.Configuration()
    configuration.operationLimit = operationLimit
    loop = try EventLoop(name: "test", configuration: configuration)
    engine = BlockEngine(store: store, loop: loop, sizing: sizing)
    engine.client = client
    memory = try SharedRegion(anonymousByteCount: memoryByteCount).bytes
  }

  convenience init(_ spec: BlockStoreSpec, sizing: BlockEngine.Sizing = .init(requestCount: 32, maximumVectorCount: 4096)) throws {
    try self.init(try BlockStore.open(spec), sizing: sizing)
  }

  /// Submits one request over the given stretches of ``memory``. Nil when the engine has no room.
  func submit(_ operation: BlockOperation, sector: UInt64, _ stretches: [Range<Int>], region: Int32 = 0) -> UInt64? {
    guard let request = engine.begin(vectorCount: stretches.count) else { return nil }
    for stretch in stretches { engine.append(memory.vector(at: stretch.lowerBound, byteCount: stretch.count), region: region, to: request) }
    lastTag += 1
    engine.submit(request, operation, sector: sector, tag: lastTag)
    return lastTag
  }

  func submitDiscard(sector: UInt64, sectorCount: UInt64) -> UInt64? {
    guard let request = engine.begin(vectorCount: 0) else { return nil }
    lastTag += 1
    engine.submitDiscard(request, sector: sector, sectorCount: sectorCount, tag: lastTag)
    return lastTag
  }

  /// Turns the loop until everything has ended. A turn that takes the last completion would go on to sleep, so none may.
  func drain() { while engine.requestsInFlight > 0 { loop.turn(maySleep: false) } }

  /// Submits one request, waits, and returns how it ended.
  func perform(_ operation: BlockOperation, sector: UInt64, _ stretches: [Range<Int>], region: Int32 = 0) throws -> BlockStatus {
    let tag = try #require(submit(operation, sector: sector, stretches, region: region))
    drain()
    return try #require(client.status(of: tag))
  }

  func fill(_ stretch: Range<Int>, with byte: UInt8) { memory.copyIn([UInt8](repeating: byte, count: stretch.count), at: stretch.lowerBound) }
  func bytes(_ stretch: Range<Int>) -> [UInt8] { memory.copyOut(at: stretch.lowerBound, byteCount: stretch.count) }

  func close() {
    engine.close()
    loop.shutDown()
  }
}
