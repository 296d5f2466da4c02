import DriverCommands
import EventLoop
import Logging
import NetEngine
import NetVirtio

extension NetVirtioDevice: ClosableVhostUserDevice {}

/// A network interface that a VMM comes to over vhost-user: its port and its socket, on one loop.
typealias ServedVhostUserInterface = ServedVhostUser<NetVirtioDevice>

extension ServedVhostUser where Device == NetVirtioDevice {
  /// Makes the port with `makePort`, and opens the socket. Throws one line that says what is wrong with either.
  static func open(
    at socket: VMMSocket, settings: NetVirtioDevice.Settings, loop: EventLoop, logger: Logger,
    makePort: @escaping @Sendable (EventLoop) throws -> NetPort
  ) async throws -> ServedVhostUserInterface {
    try await open(at: socket, loop: loop, logger: logger) {
      NetVirtioDevice(port: try makePort(loop), loop: loop, settings: settings, logger: logger)
    }
  }

  func status() async -> NetStatus { await withDevice { NetStatus($0.status) } }
}

/// The keys of an interface that a VMM uses. Its filter is not one of them: it is set through the control queue, which is the VMM's.
struct VhostUserInterfaceKeys: ConfigurableInterface {
  let interface: ServedVhostUserInterface
  let logger: Logger

  func setRate(_ text: String?) async {
    let rate = text.flatMap(RateLimit.init)
    if let text, rate == nil { logger.warning("the key rate is '\(text)', expected BYTES,MICROSECONDS: no limit is in force") }
    await interface.withDevice { $0.setRate(rate) }
  }

  func setMulticastControl(_ text: String?) async {}
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
