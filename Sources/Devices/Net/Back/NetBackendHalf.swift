import EventLoop
import LinuxSystem
import Logging
import NetEngine
import NetInterface
import PVDriver
import XenInterface
import XenPlatform

/// What of a net back-end lives on the loop: the port for good, a plane from connect to disconnect.
final class NetBackendHalf: BackHalf {
  let port: NetPort
  private let loop: EventLoop
  private let configuration: NetBackConfiguration
  private let logger: Logger
  private let connection = BackConnection<NetBackPlane>()
  private var plane: NetBackPlane? { connection.plane }
  private var rate: RateLimit?
  private var connectionCount = 0
  /// Of connections that have ended.
  private var past = NetQueueCounters()

  init(port: NetPort, loop: EventLoop, configuration: NetBackConfiguration, logger: Logger) {
    self.port = port
    self.loop = loop
    self.configuration = configuration
    self.logger = logger
  }

  /// What is offered to a front-end.
  var features: NetFeatures {
    NetFeatures(
      maximumQueueCount: min(max(1, configuration.maximumQueueCount), NetLimits.queueCount), capabilities: port.capabilities,
      splitEventChannels: true, multicastControl: true, controlRing: true, headroom: true)
  }

  /// Puts a rate limit in force, now and for later connections; nil: none.
  func setRate(_ rate: RateLimit?) {
    guard rate?.byteCount != self.rate?.byteCount || rate?.intervalNanoseconds != self.rate?.intervalNanoseconds else { return }
    self.rate = rate
    plane?.setRate(rate)
  }

  /// Puts what a front-end may change while it is connected in force: headroom, and whether multicast frames are filtered.
  func setReceiving(_ acceptance: NetAcceptance) {
    plane?.setHeadroom(acceptance.headroomByteCount)
    plane?.setMulticastControl(acceptance.multicastControl)
  }

  /// Whether multicast frames are filtered from now on.
  func setMulticastControl(_ isActive: Bool) { plane?.setMulticastControl(isActive) }

  /// Serves a front-end; returns whether the link is up.
  func connect(
    _ transport: NetTransport, _ acceptance: NetAcceptance, granter: DomainID, channels: NetChannels, platform: any XenPlatform,
    onFault: @escaping (_ queue: Int, NetBackFault) -> Void, onCarrier: @escaping (Bool) -> Void
  ) -> Result<Bool, NetConnectError> {
    Result { () throws(NetConnectError) in
      try connection.begin(with: granter, platform) { grants throws(NetConnectError) in
        try NetBackPlane(
          port: port, loop: loop, grants: grants, transport: transport, channels: channels,
          settings: NetBackPlane.Settings(acceptance: acceptance, rate: rate, configuration: configuration), logger: logger, onFault: onFault,
          onCarrier: onCarrier)
      }
      connectionCount += 1
      return port.hasCarrier
    }
  }

  func disconnect(_ done: @escaping (_ leakedPageCount: Int) -> Void) {
    // Frames that are still kept for the guest end here, and are accounted for.
    if let plane, !connection.isEnding { past.add(plane.counters) }
    connection.end(done)
  }

  var status: NetBackendStatus {
    var status = NetBackendStatus(features: features, hasCarrier: port.hasCarrier, total: past)
    status.connectionCount = connectionCount
    status.rate = rate
    status.port = port.traffic
    guard let plane, !connection.isEnding else { return status }
    status.total.add(plane.counters)
    status.acceptance = plane.acceptance
    status.mappedPageCount = plane.grants.mappedPageCount
    status.queues = plane.queues.map(NetBackendStatus.Queue.init)
    return status
  }
}
