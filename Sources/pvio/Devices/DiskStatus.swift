import BlockBack
import BlockEngine
import BlockInterface
import DriverCommands
import EventLoop
import XenInterface

/// What a back-end says of its disk, in its status file. Units are in the names.
struct DiskStatus: Codable, Equatable {
  struct Queue: Codable, Equatable {
    var entries: Int
    var in_flight: Int
    var requests: UInt64
    var rejections: UInt64
    var events: UInt64
    var spurious_events: UInt64
    var signals: UInt64
    var fault: String?
  }
  var bytes: UInt64
  var sector_bytes: Int
  var read_only: Bool
  var reads: UInt64
  var writes: UInt64
  var flushes: UInt64
  var discards: UInt64
  var read_bytes: UInt64
  var written_bytes: UInt64
  var failures: UInt64
  var last_failure: String?
  var refusals: UInt64
  var mapped_pages: Int
  var persistent_grants: Int
  var queues: [Queue]
  var notices: [String]
}

extension DiskStatus {
  init(
    geometry: BlockGeometry, engine: BlockStatistics, mappedPages: Int, persistentGrants: Int, queues: [Queue], notices: [String]
  ) {
    self.init(
      bytes: geometry.byteCount, sector_bytes: geometry.sectorByteCount, read_only: geometry.isReadOnly, reads: engine.reads,
      writes: engine.writes, flushes: engine.flushes, discards: engine.discards, read_bytes: engine.readByteCount,
      written_bytes: engine.writtenByteCount, failures: engine.failures, last_failure: engine.lastFailure?.description,
      refusals: engine.refusals.total, mapped_pages: mappedPages, persistent_grants: persistentGrants, queues: queues, notices: notices)
  }

  init(_ status: BlockBackendStatus) {
    self.init(
      geometry: status.geometry, engine: status.engine, mappedPages: status.mappedPageCount, persistentGrants: status.persistentGrantCount,
      queues: status.queues.map {
        Queue(
          entries: $0.entryCount, in_flight: $0.inFlight, requests: $0.counters.requests, rejections: $0.counters.rejections.total,
          events: $0.events.events, spurious_events: $0.events.spuriousEvents, signals: $0.events.signals, fault: $0.fault.map { "\($0)" })
      }, notices: status.notices)
  }
}
