import DriverCommands
import EventLoop
import NetBack
import NetEngine
import NetInterface
import XenInterface

/// What a back-end says of its network interface, in its status file. Units are in the names; "transmitted" is what the guest sends.
struct NetStatus: Codable, Equatable {
  struct Queue: Codable, Equatable {
    var in_flight: Int
    var waiting: Int
    var events: UInt64
    var spurious_events: UInt64
    var signals: UInt64
    var fault: String?
  }
  var carrier: Bool
  var transmitted_frames: UInt64
  var transmitted_bytes: UInt64
  /// Frames of the guest that did not arrive, by reason.
  var transmit_errors: UInt64
  var transmit_drops: UInt64
  var received_frames: UInt64
  var received_bytes: UInt64
  /// Frames for the guest that did not arrive, by reason.
  var receive_drops: [String: UInt64]
  /// What the port counted: a TAP interface, or a switch's end of the cable.
  var port: PortTraffic?
  var mapped_pages: Int
  var connections: Int
  var queues: [Queue]
}

extension NetStatus {
  init(_ status: NetBackendStatus) {
    let drops = status.total.receiveDrops
    self.init(
      carrier: status.hasCarrier, transmitted_frames: status.total.transmittedFrames, transmitted_bytes: status.total.transmittedBytes,
      transmit_errors: status.total.transmitErrors.total, transmit_drops: status.total.transmitDrops,
      received_frames: status.total.receivedFrames, received_bytes: status.total.receivedBytes,
      receive_drops: [
        "unacceptable": drops.unacceptable, "filtered": drops.filtered, "no_room": drops.noRoom, "expired": drops.expired, "grant": drops.grant,
        "broken": drops.broken,
      ].filter { $0.value > 0 },
      port: status.port.map(PortTraffic.init), mapped_pages: status.mappedPageCount, connections: status.connectionCount,
      queues: status.queues.map { queue in
        Queue(
          in_flight: queue.inFlight, waiting: queue.waiting, events: queue.events.reduce(0) { $0 + $1.events },
          spurious_events: queue.events.reduce(0) { $0 + $1.spuriousEvents }, signals: queue.events.reduce(0) { $0 + $1.signals },
          fault: queue.fault.map { "\($0)" })
      })
  }
}
