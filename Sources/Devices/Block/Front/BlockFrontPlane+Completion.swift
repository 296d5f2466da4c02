import EventLoop
import LinuxSystem
import PVDriver
import SharedRing
import XenInterface

/// Taking responses.
extension BlockFrontPlane {
  /// Responses taken from one queue before the others get their turn.
  private static var budget: Int { 256 }

  /// Takes responses of all queues. Returns whether there were any.
  func reap(_ connection: BlockFrontConnection) -> Bool {
    var total = 0
    for index in connection.queues.indices {
      let queue = connection.queues[index]
      var count = 0
      do {
        while count < Self.budget, let completion = try queue.reap() {
          count += 1
          finishRequest(completion)
          // A completion may end the connection.
          if phase == .severed { return true }
        }
      } catch {
        sever(.broken(error))
        return true
      }
      total += count
      connection.reapedSinceEvent[index] += count
      let channel = connection.loopChannels[index]
      if channel.isPending {
        channel.rearm(spurious: connection.reapedSinceEvent[index] == 0)
        connection.reapedSinceEvent[index] = 0
      }
    }
    if total > 0 { poller.workArrived(at: MonotonicClock.nowNanoseconds) }
    if requestsInFlight == 0 { quiesced.take()?() }
    return total > 0
  }

  private func finishRequest(_ completion: BlockFrontQueue.Completion) {
    requestsInFlight -= 1
    counters.requests &+= 1
    guard let operation = slots[Int(completion.tag)] else { preconditionFailure("a request without an operation") }
    operation.requestsInFlight -= 1
    if completion.status != BlkifStatus.okay.rawValue { noteFailure(of: operation, completion) }
    advance(operation)
  }

  /// Ends an operation whose requests are all answered, or makes it durable.
  func advance(_ operation: BlockFrontOperation) {
    guard operation.requestsInFlight == 0, case .inFlight = operation.phase else { return }
    if operation.isDurable, operation.operation == .write, operation.failure == nil {
      operation.isDurable = false
      if canFlush {
        operation.phase = .dispatchingFlush
        dispatchQueue.append(operation)
        return
      }
    }
    end(operation)
  }

  private func noteFailure(of operation: BlockFrontOperation, _ completion: BlockFrontQueue.Completion) {
    counters.failedRequests &+= 1
    let done = BlkifOperation(rawValue: completion.operation) ?? operation.operation
    if completion.status == BlkifStatus.notSupported.rawValue {
      switch done {
      case .flush, .writeBarrier:
        // As Linux does: the back-end turns out to have no cache to flush, so there is nothing left to do.
        disable(done)
        return
      case .discard:
        disable(done)
        operation.failure = operation.failure ?? .unsupported(.discard)
        return
      default: break
      }
    }
    operation.failure = operation.failure ?? .failed(done, offset: operation.offset)
  }

  private func disable(_ operation: BlkifOperation) {
    guard var changed = geometry else { return }
    switch operation {
    case .flush: changed.flushes = false
    case .writeBarrier: changed.hasBarriers = false
    default: changed.discard = nil
    }
    guard changed != geometry else { return }
    geometry = changed
    reporter.featureRefused(operation, geometry: changed)
  }

  /// Frees the operation's slot and hands it back.
  func end(_ operation: BlockFrontOperation) {
    release(operation)
    let failure = operation.failure
    operation.failure = nil
    operation.completed(failure)
  }

  /// Ends the operation in one of the next turns, outside its issuer's call.
  func endLater(_ operation: BlockFrontOperation, _ failure: BlockFrontError?) {
    release(operation)
    operation.failure = failure
    finished.append(operation)
  }

  func completeFinished() -> Bool {
    guard !finished.isEmpty else { return false }
    var batch = finished.takeAll()
    while let operation = batch.removeFirst() {
      let failure = operation.failure
      operation.failure = nil
      operation.completed(failure)
    }
    return true
  }

  func release(_ operation: BlockFrontOperation) {
    if operation.slot >= 0 {
      slots[operation.slot] = nil
      freeSlots.append(Int32(operation.slot))
      operation.slot = -1
    }
    operation.phase = .idle
  }
}
