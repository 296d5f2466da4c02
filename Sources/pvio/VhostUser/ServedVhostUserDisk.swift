import BlockEngine
import BlockInterface
import BlockVirtio
import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import PVDriver
import SystemPackage
import VhostUser

/// A disk that a VMM comes to over vhost-user: what backs it, its engine and its socket, on one loop.
final class ServedVhostUserDisk: ResizableDisk {
  private struct Parts {
    var device: BlockVirtioDevice
    var server: VhostUserServer
  }

  private let loop: EventLoop
  private let parts: LoopConfined<Parts>
  /// What the VMM does, as it happens.
  let notices: AsyncStream<VhostUserServer.Notice>

  private init(loop: EventLoop, parts: LoopConfined<Parts>, notices: AsyncStream<VhostUserServer.Notice>) {
    self.loop = loop
    self.parts = parts
    self.notices = notices
  }

  /// Opens the disk and its socket. Throws one line that says what is wrong with either.
  /// - Parameter name: what the guest sees as the disk's serial.
  /// - Parameter trace: where requests are told of while somebody traces the disk.
  static func open(
    _ spec: DiskSpec, name: String, at socket: VMMSocket, loop: EventLoop, trace: TraceFile? = nil, logger: Logger
  ) async throws -> ServedVhostUserDisk {
    let (notices, tell) = AsyncStream.makeStream(of: VhostUserServer.Notice.self)
    let parts = try await loop.run { () -> Result<LoopConfined<Parts>, CommandFailure> in
      let store: BlockStore
      do throws(BlockOpenError) { store = try BlockStore.open(spec.store) } catch { return .failure(CommandFailure("\(error)")) }
      for notice in store.notices { logger.notice("\(notice)") }
      let device = BlockVirtioDevice(
        engine: BlockEngine(store: store, loop: loop), queueCount: spec.queueCount, identity: name, trace: trace, logger: logger)
      do throws(Errno) {
        let server = try socket.serve(device, logger: logger) { tell.yield($0) }
        return .success(LoopConfined(Parts(device: device, server: server), on: loop))
      } catch {
        device.close()
        return .failure(socket.failure(error))
      }
    }.get()
    return ServedVhostUserDisk(loop: loop, parts: parts, notices: notices)
  }

  func status() async -> DiskStatus { await loop.run { [parts] in .init(parts.value.device) } }

  var geometry: BlockGeometry { get async { await loop.run { [parts] in parts.value.device.engine.geometry } } }

  func refreshSize() async throws -> BlockGeometry {
    try await loop.run { [parts] in Result { try parts.value.device.refreshSize() } }.get()
  }

  func resize(byteCount: UInt64) async throws -> BlockGeometry {
    try await loop.run { [parts] in Result { try parts.value.device.resize(byteCount: byteCount) } }.get()
  }

  /// Finishes what is under way, and closes everything.
  func close() async {
    await withCheckedContinuation { continuation in
      loop.execute { [parts] in
        parts.value.server.stop {
          parts.value.device.close()
          continuation.resume()
        }
      }
    }
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
