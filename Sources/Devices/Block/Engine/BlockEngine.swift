public import BlockInterface
public import EventLoop
public import XenInterface
import LinuxSystem
import SharedMemory
import SystemPackage
import Uring

/// Executes requests against what backs a disk. Knows memory and sectors, not rings: a transport puts requests in.
///
/// ```swift
/// guard let request = engine.begin(vectorCount: 2) else { … }            // full: wait for a completion
/// engine.append(page.vector(at: 0, byteCount: 4096), region: page.arena, to: request)
/// engine.submit(request, .write, sector: 8, tag: 7)                      // client.completed(tag: 7, …) follows
/// ```
/// Belongs to one loop; every call on its thread. Nothing is allocated per request.
public final class BlockEngine: LoopSource {
  /// How many requests there can be at once, and how large.
  public struct Sizing: Sendable, Equatable {
    /// Requests at once: the sum of the ring's entries over all queues.
    public var requestCount: Int
    /// Most vectors of one request.
    public var maximumVectorCount: Int
    /// Memory for the tables of requests with more than 11 vectors, in bytes; at least two can always be under way.
    public var largeTableByteCount: Int

    public init(requestCount: Int = 32, maximumVectorCount: Int = BlkifLimits.segmentsPerRequest, largeTableByteCount: Int = 1 << 20) {
      self.requestCount = requestCount
      self.maximumVectorCount = maximumVectorCount
      self.largeTableByteCount = largeTableByteCount
    }
  }

  public let store: BlockStore
  let state: FixedCell<State>
  /// What a limit of the rate goes by.
  let clock = LoopClock()
  /// Five lines a second about failures, and no more.
  let reportLimit = FixedCell(TokenBucket(count: 5, intervalNanoseconds: 1_000_000_000, burst: 5))

  /// What changes with each request. Apart from the object, so that no access is checked for overlapping others.
  struct State: ~Copyable {
    var client: BlockEngineClient?
    var statistics = BlockStatistics()
    var pool: RequestPool
    /// Requests that have begun on the disk and not ended.
    var runningCount = 0
    /// Requests that wait behind a barrier, and barriers that wait for others.
    var held = RequestQueue()
    /// Requests whose next operation could not be given to the kernel yet.
    var stalled = RequestQueue()
    var barrierIsRunning = false
    var isReleasingHeld = false
    /// Requests that wait until the script has answered another one.
    var scripted = RequestQueue()
    var scriptIsBusy = false
    var file = UringFile.descriptor(-1)
    var registration = BufferRegistration()
    let isLimited: Bool
    var pacer: RequestPacer

    init(pool: consuming RequestPool, rate: BlockRate) {
      self.pool = pool
      pacer = RequestPacer(rate)
      isLimited = pacer.isLimited
    }
  }

  /// A table that fits a direct request, rounded to a cache line of vectors.
  static let smallTableCapacity = 12
  /// Bytes of one vector (`struct iovec`).
  private static let vectorByteCount = 16

  public init(store: sending BlockStore, loop: EventLoop, sizing: Sizing = Sizing()) {
    self.store = store
    self.state = FixedCell(State(pool: Self.makePool(sizing), rate: store.rate))
    super.init()
    loop.attach(self)
    registerFile()
  }

  private static func makePool(_ sizing: Sizing) -> RequestPool {
    let tableCount = sizing.largeTableByteCount / (max(1, sizing.maximumVectorCount) * vectorByteCount)
    return RequestPool(
      capacity: sizing.requestCount, smallTableCapacity: smallTableCapacity, largeTableCapacity: sizing.maximumVectorCount,
      largeTableCount: min(sizing.requestCount, max(2, tableCount)))
  }

  /// Makes room for other numbers of requests. No request may be under way.
  public func resizePool(_ sizing: Sizing) {
    precondition(pool.usedCount == 0, "\(pool.usedCount) requests are under way")
    pool = Self.makePool(sizing)
  }

  /// Size and access of the disk.
  public var geometry: BlockGeometry { store.geometry }
  /// Adds attributes to the disk's: what an owner forbids, what backs it cannot allow.
  public func restrict(_ info: VdiskInfo) {
    store.geometry.info.formUnion(info)
    if store.geometry.isReadOnly { store.supportsDiscard = false }
  }
  /// Requests begun and not completed.
  public var requestsInFlight: Int { pool.usedCount }
  /// Places for vectors over all requests: a transport that keeps something per vector sizes its table by this.
  public var vectorCapacity: Int { pool.table.capacity }
  /// Requests there can be at once.
  public var requestCapacity: Int { pool.slots.count }

  /// Leaves the loop. No request may be under way.
  public func close() {
    precondition(pool.usedCount == 0, "\(pool.usedCount) requests are under way")
    guard let loop else { return }
    if case .script(let worker) = store.kind { worker.stop() }
    forgetBuffers()
    unregisterFile()
    client = nil
    loop.detach(self)
  }

  // MARK: The loop's calls

  public override func completed(tag: UInt64, result: Int32) {
    operationEnded(Int(tag), result: result)
  }

  public override func service() -> Service {
    if stalled.isEmpty { return .idle }
    retryStalled()
    return stalled.isEmpty ? .worked : .moreToDo
  }
}
