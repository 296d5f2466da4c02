import BlockEngine
import BlockInterface
import BlockVirtio
import DriverCommands
import EventLoop
import Logging
import PVDriver

extension BlockVirtioDevice: ClosableVhostUserDevice {}

/// A disk that a VMM comes to over vhost-user: what backs it, its engine and its socket, on one loop.
typealias ServedVhostUserDisk = ServedVhostUser<BlockVirtioDevice>

extension ServedVhostUser: ResizableDisk where Device == BlockVirtioDevice {
  /// Opens the disk and its socket. Throws one line that says what is wrong with either.
  /// - Parameter name: what the guest sees as the disk's serial.
  /// - Parameter trace: where requests are told of while somebody traces the disk.
  static func open(
    _ spec: DiskSpec, name: String, at socket: VMMSocket, loop: EventLoop, trace: TraceFile? = nil, logger: Logger
  ) async throws -> ServedVhostUserDisk {
    try await open(at: socket, loop: loop, logger: logger) {
      let store = try BlockStore.open(spec.store)
      for notice in store.notices { logger.notice("\(notice)") }
      return BlockVirtioDevice(
        engine: BlockEngine(store: store, loop: loop), queueCount: spec.queueCount, identity: name, trace: trace, logger: logger)
    }
  }

  func status() async -> DiskStatus { await withDevice { DiskStatus($0) } }

  var geometry: BlockGeometry { get async { await withDevice { $0.engine.geometry } } }

  func refreshSize() async throws -> BlockGeometry {
    try await withDevice { device in Result { try device.refreshSize() } }.get()
  }

  func resize(byteCount: UInt64) async throws -> BlockGeometry {
    try await withDevice { device in Result { try device.resize(byteCount: byteCount) } }.get()
  }
}

extension DiskStatus {
  /// Of a disk that a VMM uses; on the device's loop.
  init(_ device: BlockVirtioDevice) {
    self.init(
      geometry: device.engine.geometry, engine: device.engine.statistics, mappedPages: 0, persistentGrants: 0,
      queues: device.queueStatus.map {
        Queue(
          entries: $0.entryCount, in_flight: $0.inFlight, requests: $0.requests, rejections: $0.rejections, events: $0.events,
          spurious_events: $0.spuriousEvents, signals: $0.signals, fault: $0.fault.map { "\($0)" })
      }, notices: device.engine.store.notices)
  }
}
