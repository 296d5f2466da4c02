public import XenInterface

/// One operation on the device, of up to ``BlockFrontPlane/maximumOperationByteCount`` bytes, as its issuer holds it.
///
/// A class to be overridden and used again, so that the data path completes operations without closures and without
/// allocation. Belongs to the plane from ``BlockFrontPlane/submit(_:)`` until ``completed(_:)``. Loop thread only.
open class BlockFrontOperation {
  /// `read`, `write`, `flush` or `discard`.
  public var operation: BlkifOperation = .read
  /// Where on the device, in bytes.
  public var offset: UInt64 = 0
  /// How much, in bytes; for read and write what the buffer holds. Nothing for a flush.
  public var byteCount: UInt64 = 0
  /// A write is complete only when it is durable (`FUA`): the plane flushes after it. Set it for each write.
  public var isDurable = false

  /// The data; nil while the operation has none.
  public internal(set) var buffer: IOBuffer?
  /// Where ``buffer`` comes from. After a reconnection, an operation can for a while hold a buffer of the old pool.
  public internal(set) var pool: IOBufferPool?

  /// How far the plane is with it.
  enum Phase {
    case idle
    /// Waiting for a buffer; `migrating` when it has one of an old pool whose contents must not be lost.
    case awaitingBuffer(migrating: Bool)
    /// Not all of it has been sent.
    case dispatching
    /// The flush that makes it durable has not been sent.
    case dispatchingFlush
    /// Waiting for responses.
    case inFlight
  }
  var phase = Phase.idle
  var slot = -1
  var dispatchedByteCount = 0
  var nextPage: Int32 = -1
  var requestsInFlight = 0
  var failure: BlockFrontError?
  /// When it began to wait without a connection.
  var waitingSince: UInt64 = 0
  /// In the list that it waits in.
  var next: BlockFrontOperation?

  public init() {}

  /// ``buffer`` is there now, after ``BlockFrontPlane/acquireBuffer(for:byteCount:)`` returned false.
  open func bufferIsReady() {}

  /// The operation is done; nil is success. It may be used again from within this call. Its buffer stays its own until
  /// ``BlockFrontPlane/releaseBuffer(of:)``.
  open func completed(_ failure: BlockFrontError?) {}
}

/// Operations in the order in which they came, linked through themselves: no allocation.
struct OperationList {
  private(set) var first: BlockFrontOperation?
  private var last: BlockFrontOperation?

  private(set) var count = 0
  var isEmpty: Bool { first == nil }

  mutating func append(_ operation: BlockFrontOperation) {
    operation.next = nil
    if let last { last.next = operation } else { first = operation }
    last = operation
    count += 1
  }

  mutating func removeFirst() -> BlockFrontOperation? {
    guard let operation = first else { return nil }
    first = operation.next
    operation.next = nil
    count -= 1
    if first == nil { last = nil }
    return operation
  }

  /// Takes everything out.
  mutating func takeAll() -> OperationList {
    let all = self
    self = OperationList()
    return all
  }
}
