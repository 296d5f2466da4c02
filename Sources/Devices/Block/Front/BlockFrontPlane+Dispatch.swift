import LinuxSystem
import PVDriver
import XenInterface

/// Sending operations.
extension BlockFrontPlane {
  /// Sends `operation`, now or when there is room. It must have its buffer, if it moves data. Its ``BlockFrontOperation/completed(_:)``
  /// is called later, never from within this call.
  public func submit(_ operation: BlockFrontOperation) {
    guard case .idle = operation.phase else { preconditionFailure("an operation was submitted twice") }
    operation.failure = nil
    operation.dispatchedByteCount = 0
    operation.requestsInFlight = 0
    guard phase != .closed else { return endLater(operation, .closed) }
    if let buffer = operation.buffer {
      precondition(operation.byteCount <= UInt64(buffer.byteCount), "an operation larger than its buffer")
      operation.nextPage = buffer.firstPage
    } else {
      precondition(operation.operation == .flush || operation.operation == .discard, "\(operation.operation) without a buffer")
    }
    operation.phase = .dispatching
    let isFirst = dispatchQueue.isEmpty
    if phase == .connected, isFirst, isOfThisConnection(operation), dispatch(operation) { return }
    operation.waitingSince = MonotonicClock.nowNanoseconds
    dispatchQueue.append(operation)
    if phase != .connected { armDeadline() }
  }

  /// Sends what waits, in order, as far as there is room.
  func dispatchWaiting() {
    while phase == .connected, let operation = dispatchQueue.first {
      guard isOfThisConnection(operation) else {
        // Filled before a reconnection: its data moves over to pages that the new back-end can be given.
        _ = dispatchQueue.removeFirst()
        migrate(operation)
        continue
      }
      guard dispatch(operation) else { return }
      _ = dispatchQueue.removeFirst()
    }
  }

  private func isOfThisConnection(_ operation: BlockFrontOperation) -> Bool {
    operation.buffer == nil || operation.pool === connection?.pool
  }

  /// Whether flushing does anything: without either feature, completed writes are durable.
  var canFlush: Bool { geometry.map { $0.flushes || $0.hasBarriers } ?? false }

  /// Sends as much of `operation` as there is room for. True when nothing is left to send.
  private func dispatch(_ operation: BlockFrontOperation) -> Bool {
    guard let connection, let geometry else { preconditionFailure("sending without a connection") }
    if case .dispatchingFlush = operation.phase { return dispatchFlush(operation, connection, geometry) }
    if operation.dispatchedByteCount == 0, operation.requestsInFlight == 0 {
      let refusal = geometry.refusal(operation.operation, offset: operation.offset, byteCount: operation.byteCount)
      if let refusal {
        endLater(operation, refusal)
        return true
      }
    }
    switch operation.operation {
    case .flush: return dispatchFlush(operation, connection, geometry)
    case .discard: return dispatchDiscard(operation, connection)
    default: return dispatchTransfer(operation, connection)
    }
  }

  private func dispatchTransfer(_ operation: BlockFrontOperation, _ connection: BlockFrontConnection) -> Bool {
    let total = Int(operation.byteCount)
    if total == 0 {
      endLater(operation, nil)
      return true
    }
    while operation.dispatchedByteCount < total, operation.failure == nil {
      guard let queue = roomyQueue(connection) else { return false }
      let limit = min(queue.maximumSegmentCount, configuration.maximumSegmentCount) * pageByteCount
      let count = min(total - operation.dispatchedByteCount, limit)
      let sector = (operation.offset + UInt64(operation.dispatchedByteCount)) / UInt64(BlkifLimits.sectorByteCount)
      let next = queue.submitTransfer(
        operation.operation, sector: sector, firstPage: operation.nextPage, byteCount: count, tag: UInt64(slot(of: operation)))
      guard next != RequestTable.refused else { return false }
      if count > BlkifLimits.segmentsPerRequest * pageByteCount { counters.indirectRequests &+= 1 }
      operation.nextPage = next
      operation.dispatchedByteCount += count
      sent(operation)
    }
    operation.phase = .inFlight
    // A part failed while the rest waited for room, and was the last one in flight.
    if operation.requestsInFlight == 0 { endLater(operation, operation.failure) }
    return true
  }

  private func dispatchFlush(_ operation: BlockFrontOperation, _ connection: BlockFrontConnection, _ geometry: BlockFrontGeometry) -> Bool {
    guard canFlush else {
      endLater(operation, nil)
      return true
    }
    guard let queue = roomyQueue(connection) else { return false }
    guard queue.submitFlush(barrier: !geometry.flushes, tag: UInt64(slot(of: operation))) else { return false }
    operation.phase = .inFlight
    sent(operation)
    return true
  }

  private func dispatchDiscard(_ operation: BlockFrontOperation, _ connection: BlockFrontConnection) -> Bool {
    let unit = UInt64(BlkifLimits.sectorByteCount)
    guard operation.byteCount > 0 else {
      endLater(operation, nil)
      return true
    }
    guard let queue = roomyQueue(connection) else { return false }
    let tag = UInt64(slot(of: operation))
    guard queue.submitDiscard(sector: operation.offset / unit, sectorCount: operation.byteCount / unit, tag: tag) else { return false }
    operation.phase = .inFlight
    sent(operation)
    return true
  }

  private func sent(_ operation: BlockFrontOperation) {
    operation.requestsInFlight += 1
    requestsInFlight += 1
  }

  /// The next queue in turn that has room.
  private func roomyQueue(_ connection: BlockFrontConnection) -> BlockFrontQueue? {
    for _ in connection.queues.indices {
      let queue = connection.queues[nextQueue]
      nextQueue = nextQueue + 1 == connection.queues.count ? 0 : nextQueue + 1
      if queue.freeRequestCount > 0 { return queue }
    }
    return nil
  }

  private func slot(of operation: BlockFrontOperation) -> Int {
    if operation.slot >= 0 { return operation.slot }
    if let free = freeSlots.popLast() {
      operation.slot = Int(free)
      slots[Int(free)] = operation
    } else {
      operation.slot = slots.count
      slots.append(operation)
    }
    return operation.slot
  }
}
