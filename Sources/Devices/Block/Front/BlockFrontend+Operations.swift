import EventLoop
import XenInterface

extension BlockFrontend {
  /// Reads `byteCount` bytes at `offset`.
  public func read(at offset: UInt64, byteCount: Int) async throws(BlockFrontError) -> [UInt8] {
    guard byteCount > 0 else { return [] }
    return try await run { AsyncTransfer(.read, offset: offset, byteCount: byteCount, continuation: $0) }
  }

  /// Writes `bytes` at `offset`. `durably` also makes them durable before it returns.
  public func write(_ bytes: [UInt8], at offset: UInt64, durably: Bool = false) async throws(BlockFrontError) {
    guard !bytes.isEmpty else { return }
    _ = try await run { AsyncTransfer(writing: bytes, offset: offset, isDurable: durably, continuation: $0) }
  }

  /// Reads one stretch of the device into consecutive arrays of the given lengths in bytes. Their sum counts for alignment.
  public func read(at offset: UInt64, byteCounts: [Int]) async throws(BlockFrontError) -> [[UInt8]] {
    let all = try await read(at: offset, byteCount: byteCounts.reduce(0, +))
    var start = 0
    return byteCounts.map { count in
      defer { start += count }
      return Array(all[start..<start + count])
    }
  }

  /// Writes arrays one after the other from `offset` on.
  public func write(_ parts: [[UInt8]], at offset: UInt64, durably: Bool = false) async throws(BlockFrontError) {
    try await write(Array(parts.joined()), at: offset, durably: durably)
  }

  /// Fills `byteCount` bytes at `offset` with zeros.
  public func writeZeroes(at offset: UInt64, byteCount: UInt64, durably: Bool = false) async throws(BlockFrontError) {
    var position = offset
    var remaining = byteCount
    // In steps, so that zeroing a whole device needs no memory of its size.
    while remaining > 0 {
      let count = Int(min(remaining, UInt64(8 * BlockFrontPlane.maximumOperationByteCount)))
      let last = remaining == UInt64(count)
      try await write(Array(repeating: 0, count: count), at: position, durably: durably && last)
      position += UInt64(count)
      remaining -= UInt64(count)
    }
  }

  /// Makes every write that has returned durable. A device without a volatile cache has nothing to do.
  public func flush() async throws(BlockFrontError) {
    _ = try await run { AsyncTransfer(.flush, offset: 0, byteCount: 0, continuation: $0) }
  }

  /// Tells the device that `byteCount` bytes at `offset` are not needed any more. What they read as afterwards is not defined.
  public func discard(at offset: UInt64, byteCount: UInt64) async throws(BlockFrontError) {
    _ = try await run { AsyncTransfer(discarding: byteCount, offset: offset, continuation: $0) }
  }

  private func run(
    _ make: @escaping @Sendable (AsyncTransfer.Continuation) -> AsyncTransfer
  ) async throws(BlockFrontError) -> [UInt8] {
    let result = await withCheckedContinuation { (continuation: AsyncTransfer.Continuation) in
      loop.execute { [plane] in make(continuation).start(on: plane.value) }
    }
    return try result.get()
  }
}

/// One call of the asynchronous interface: split into operations, put together again. Loop thread only.
final class AsyncTransfer {
  typealias Continuation = CheckedContinuation<Result<[UInt8], BlockFrontError>, Never>

  let operation: BlkifOperation
  let offset: UInt64
  let byteCount: UInt64
  let isDurable: Bool
  var bytes: [UInt8]
  private let continuation: Continuation
  private var pieces = 0
  private var failure: BlockFrontError?

  init(_ operation: BlkifOperation, offset: UInt64, byteCount: Int, continuation: Continuation) {
    self.operation = operation
    self.offset = offset
    self.byteCount = UInt64(byteCount)
    self.isDurable = false
    self.bytes = []
    self.continuation = continuation
  }

  init(writing bytes: [UInt8], offset: UInt64, isDurable: Bool, continuation: Continuation) {
    self.operation = .write
    self.offset = offset
    self.byteCount = UInt64(bytes.count)
    self.isDurable = isDurable
    self.bytes = bytes
    self.continuation = continuation
  }

  init(discarding byteCount: UInt64, offset: UInt64, continuation: Continuation) {
    self.operation = .discard
    self.offset = offset
    self.byteCount = byteCount
    self.isDurable = false
    self.bytes = []
    self.continuation = continuation
  }

  func start(on plane: BlockFrontPlane) {
    // Before memory of the caller's size is taken. While disconnected the device may be changing its size: then the plane
    // checks each piece when there is a connection.
    if plane.isConnected, let refusal = plane.geometry?.refusal(operation, offset: offset, byteCount: byteCount) { return finish(refusal) }
    guard operation == .read || operation == .write else {
      pieces = 1
      let piece = AsyncPiece(self, plane, at: 0)
      piece.byteCount = byteCount
      return plane.submit(piece)
    }
    if operation == .read { bytes = Array(repeating: 0, count: Int(byteCount)) }
    let total = Int(byteCount)
    let step = BlockFrontPlane.maximumOperationByteCount
    pieces = (total + step - 1) / step
    for position in stride(from: 0, to: total, by: step) {
      let piece = AsyncPiece(self, plane, at: position)
      if plane.acquireBuffer(for: piece, byteCount: min(step, total - position)) { piece.bufferIsReady() }
    }
  }

  func pieceEnded(_ failure: BlockFrontError?) {
    self.failure = self.failure ?? failure
    pieces -= 1
    if pieces == 0 { finish(self.failure) }
  }

  private func finish(_ failure: BlockFrontError?) {
    if let failure { continuation.resume(returning: .failure(failure)) } else { continuation.resume(returning: .success(bytes)) }
  }
}

/// One operation of a transfer.
private final class AsyncPiece: BlockFrontOperation {
  private let transfer: AsyncTransfer
  private let plane: BlockFrontPlane
  private let position: Int

  init(_ transfer: AsyncTransfer, _ plane: BlockFrontPlane, at position: Int) {
    self.transfer = transfer
    self.plane = plane
    self.position = position
    super.init()
    operation = transfer.operation
    offset = transfer.offset &+ UInt64(position)
  }

  override func bufferIsReady() {
    if operation == .write, let buffer, let pool {
      isDurable = transfer.isDurable
      pool.fill(buffer, from: transfer.bytes, at: position, byteCount: Int(byteCount))
    }
    plane.submit(self)
  }

  override func completed(_ failure: BlockFrontError?) {
    if failure == nil, operation == .read, let buffer, let pool {
      pool.copy(buffer, into: &transfer.bytes, at: position, byteCount: Int(byteCount))
    }
    plane.releaseBuffer(of: self)
    transfer.pieceEnded(failure)
  }
}
