public import NetPackets

/// What a vif is connected to: a TAP interface, a switch, nothing.
///
/// A class to be overridden, so that the data path calls through a table slot and not through an existential. All calls are
/// on the loop of the vif; a port serves one vif (``NetPortClient``) from ``connect(_:accepting:queueCount:)`` to
/// ``disconnect(_:)``, and may be connected again.
open class NetPort {
  /// What became of a frame that was handed to a port. One that is pending must stay as it is until
  /// ``NetPortClient/transmitted(_:succeeded:)``; one that was dropped is counted by the port.
  public typealias TransmitOutcome = FrameOutcome

  /// The vif that is served; nil while none is connected.
  public var client: NetPortClient?

  public init() {}

  /// What the port takes from a vif without help: what a back-end may offer to its front-end.
  open var capabilities: FrameCapabilities { [] }

  /// Whether frames can reach the other side at all. Changes are told by ``NetPortClient/carrierChanged(isUp:)``.
  open var hasCarrier: Bool { true }

  /// Whether a frame that the vif refused with ``NetPortClient/ReceiveOutcome/full`` is kept and offered again after
  /// ``receiveReady(queue:)``. If so the vif keeps none by itself.
  open var keepsRefusedFrames: Bool { false }

  /// What went through the port so far; nil for one that does not count.
  open var traffic: NetPortTraffic? { nil }

  /// Begins to serve a vif that takes frames with `accepting`, on `queueCount` queues.
  open func connect(_ client: NetPortClient, accepting: FrameCapabilities, queueCount: Int) throws(NetPortError) { self.client = client }

  /// Takes a frame from the guest's queue `queue`. The frame keeps what ``capabilities`` promise.
  open func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome { .done }

  /// Takes several frames from the guest's queue `queue`, as ``transmit(_:queue:)`` takes each of them, and says in the batch what becomes of
  /// it. A frame may be done with (``NetPortClient/transmitted(_:succeeded:)``) before the call returns, when it is `pending` in the batch.
  ///
  /// For a port that can do better than one after the other. The batch is the vif's: nothing of it is kept but frames that are pending.
  open func transmit(_ batch: FrameBatch, queue: Int) {
    for index in 0..<batch.count { batch.setOutcome(batch.withFrame(index) { transmit($0, queue: queue) }, of: index) }
  }

  /// Called once after a run of ``transmit(_:queue:)``: what was collected is to be sent.
  open func endOfTransmitBatch() {}

  /// The guest has posted buffers on queue `queue` after it had too few: the port may go on delivering.
  open func receiveReady(queue: Int) {}

  /// The guest has stopped taking frames for a long time, or takes them again: what is behind the port may show that as its carrier.
  open func guestStalled(_ isStalled: Bool) {}

  /// Ends serving the vif; `done` is called when no frame of it is in use any more (``NetPortClient/transmitted(_:succeeded:)`` was called
  /// for each that was pending). Nothing is delivered from now on. Not to be called within a call of the client by the port: that one lends it.
  open func disconnect(_ done: @escaping () -> Void) {
    client = nil
    done()
  }

  /// Gives back what the port holds for good. Not while connected.
  open func close() {}
}

/// The vif as a port sees it. All calls on its loop.
open class NetPortClient {
  /// What became of a frame that was handed to a vif.
  public enum ReceiveOutcome: Sendable {
    /// Copied: the frame may be used again.
    case delivered
    /// The guest has posted too few buffers, and what the vif keeps for it is full. Nothing was taken: a port that can wait waits
    /// for ``NetPort/receiveReady(queue:)``, one that cannot drops and counts.
    case full
    /// The guest does not take this frame (too large, or not connected); counted by the vif.
    case dropped
  }

  public init() {}

  /// The port is done with a frame that was pending.
  open func transmitted(_ frame: Frame, succeeded: Bool) {}

  /// A frame for the guest, on its queue `queue`. Copied before the call returns.
  open func receive(_ frame: Frame, queue: Int) -> ReceiveOutcome { .dropped }

  /// Frames `range` of a batch for the guest, as ``receive(_:queue:)`` takes each of them. Says in the batch which were delivered (`done`)
  /// and which were not (`dropped`, whether there was no room or the guest does not take them), and returns how many were.
  ///
  /// For a port that does not wait for a guest without room.
  open func receive(_ batch: FrameBatch, _ range: Range<Int>, queue: Int) -> Int {
    var count = 0
    for index in range {
      if case .delivered = batch.withFrame(index, { receive($0, queue: queue) }) {
        count += 1
      } else {
        batch.setOutcome(.dropped, of: index)
      }
    }
    return count
  }

  /// Called once after a run of ``receive(_:queue:)``: responses are published, the guest is signalled.
  open func endOfReceiveBatch() {}

  /// The other side came up or went away.
  open func carrierChanged(isUp: Bool) {}
}

/// Why a port cannot serve.
public enum NetPortError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Another vif is connected to it.
  case busy(String)
  /// A line that names the object, what is wrong with it, and what to do.
  case failed(String)

  public var description: String {
    switch self {
    case .busy(let name): "\(name) already serves a vif"
    case .failed(let text): text
    }
  }
}
