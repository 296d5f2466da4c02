import LinuxSystem
import PVDriver
import XenInterface

/// Handing out buffers.
extension BlockFrontPlane {
  /// Gives `operation` a buffer for `byteCount` bytes. True: it has one. False: it gets one later, in order, and is told
  /// by ``BlockFrontOperation/bufferIsReady()``; or it fails with ``BlockFrontOperation/completed(_:)``.
  public func acquireBuffer(for operation: BlockFrontOperation, byteCount: Int) -> Bool {
    precondition(byteCount > 0 && byteCount <= Self.maximumOperationByteCount, "a buffer of \(byteCount) bytes")
    precondition(operation.buffer == nil, "an operation with two buffers")
    operation.byteCount = UInt64(byteCount)
    guard phase != .closed else {
      endLater(operation, .closed)
      return false
    }
    if phase == .connected, bufferQueue.isEmpty, let pool = connection?.pool, let buffer = pool.makeBuffer(byteCount: byteCount) {
      operation.buffer = buffer
      operation.pool = pool
      return true
    }
    operation.phase = .awaitingBuffer(migrating: false)
    operation.waitingSince = MonotonicClock.nowNanoseconds
    bufferQueue.append(operation)
    if phase != .connected { armDeadline() }
    return false
  }

  /// Gives the operation's buffer back. Nothing happens when it has none.
  public func releaseBuffer(of operation: BlockFrontOperation) {
    guard let buffer = operation.buffer else { return }
    operation.pool?.free(buffer)
    operation.buffer = nil
    operation.pool = nil
  }

  /// Serves those who wait for buffers, in order. Returns whether anybody was served.
  func serveBufferQueue() -> Bool {
    var served = false
    while phase == .connected, let pool = connection?.pool, let operation = bufferQueue.first,
      let buffer = pool.makeBuffer(byteCount: Int(operation.byteCount))
    {
      _ = bufferQueue.removeFirst()
      served = true
      guard case .awaitingBuffer(let migrating) = operation.phase else { preconditionFailure("waiting without need") }
      if migrating {
        moveOver(operation, to: buffer, of: pool)
        operation.phase = .idle
        submit(operation)
      } else {
        operation.buffer = buffer
        operation.pool = pool
        operation.phase = .idle
        operation.bufferIsReady()
      }
    }
    return served
  }

  /// Brings an operation whose data lies in pages of an old connection back to where it can be sent.
  func migrate(_ operation: BlockFrontOperation) {
    operation.phase = .awaitingBuffer(migrating: true)
    operation.waitingSince = MonotonicClock.nowNanoseconds
    bufferQueue.append(operation)
    _ = serveBufferQueue()
  }

  private func moveOver(_ operation: BlockFrontOperation, to buffer: IOBuffer, of pool: IOBufferPool) {
    guard let old = operation.buffer, let oldPool = operation.pool else { preconditionFailure("nothing to move") }
    if operation.operation == .write { pool.copy(old, of: oldPool, to: buffer) }
    oldPool.free(old)
    operation.buffer = buffer
    operation.pool = pool
  }
}
