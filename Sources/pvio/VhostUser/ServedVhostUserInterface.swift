import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import NetEngine
import NetPackets
import NetVirtio
import SystemPackage
import VhostUser

/// A network interface that a VMM comes to over vhost-user: its port and its socket, on one loop.
final class ServedVhostUserInterface: ConfigurableInterface {
  private struct Parts {
    var device: NetVirtioDevice
    var server: VhostUserServer
  }

  private let loop: EventLoop
  private let parts: LoopConfined<Parts>
  private let logger: Logger
  /// What the VMM does, as it happens.
  let notices: AsyncStream<VhostUserServer.Notice>

  private init(loop: EventLoop, parts: LoopConfined<Parts>, logger: Logger, notices: AsyncStream<VhostUserServer.Notice>) {
    self.loop = loop
    self.parts = parts
    self.logger = logger
    self.notices = notices
  }

  /// Makes the port with `makePort`, and opens the socket. Throws one line that says what is wrong with either.
  static func open(
    at socket: VMMSocket, settings: NetVirtioDevice.Settings, loop: EventLoop, logger: Logger,
    makePort: @escaping @Sendable (EventLoop) throws -> NetPort
  ) async throws -> ServedVhostUserInterface {
    let (notices, tell) = AsyncStream.makeStream(of: VhostUserServer.Notice.self)
    let parts = try await loop.run { () -> Result<LoopConfined<Parts>, CommandFailure> in
      let port: NetPort
      do { port = try makePort(loop) } catch { return .failure(error as? CommandFailure ?? CommandFailure("\(error)")) }
      let device = NetVirtioDevice(port: port, loop: loop, settings: settings, logger: logger)
      do throws(Errno) {
        let server = try socket.serve(device, logger: logger) { tell.yield($0) }
        return .success(LoopConfined(Parts(device: device, server: server), on: loop))
      } catch {
        device.close()
        return .failure(socket.failure(error))
      }
    }.get()
    return ServedVhostUserInterface(loop: loop, parts: parts, logger: logger, notices: notices)
  }

  func status() async -> NetStatus { await loop.run { [parts] in .init(parts.value.device.status) } }

  func setRate(_ text: String?) async {
    let rate = text.flatMap(RateLimit.init)
    if let text, rate == nil { logger.warning("the key rate is '\(text)', expected BYTES,MICROSECONDS: no limit is in force") }
    await loop.run { [parts] in parts.value.device.setRate(rate) }
  }

  /// Not for virtio: its filter is set through the control queue, which is the VMM's.
  func setMulticastControl(_ text: String?) async {}

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

extension NetSpec {
  /// What a guest is offered.
  var virtioSettings: NetVirtioDevice.Settings {
    var settings = NetVirtioDevice.Settings()
    settings.queuePairCount = queueCount
    settings.address = mac
    settings.mtu = mtu
    settings.rate = rate.flatMap(RateLimit.init)
    return settings
  }
}

extension NetStatus {
  /// Of an interface that a VMM uses.
  init(_ status: NetVirtioStatus) {
    let counters = status.counters
    self.init(
      carrier: status.hasCarrier, transmitted_frames: counters.transmittedFrames, transmitted_bytes: counters.transmittedBytes,
      transmit_errors: counters.transmitErrors, transmit_drops: counters.transmitDrops, received_frames: counters.receivedFrames,
      received_bytes: counters.receivedBytes,
      receive_drops: ["unacceptable": counters.unacceptable, "no_room": counters.noRoom].filter { $0.value > 0 },
      port: status.port.map(PortTraffic.init), mapped_pages: 0, connections: 0,
      queues: status.queues.map {
        Queue(
          in_flight: $0.inFlight, waiting: 0, events: $0.events, spurious_events: $0.spuriousEvents, signals: $0.signals,
          fault: $0.fault.map { "\($0)" })
      })
  }
}
