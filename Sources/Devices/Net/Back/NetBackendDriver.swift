public import EventLoop
public import Logging
public import NetEngine
import NetInterface
import PVDriver
import XenInterface
public import XenPlatform
public import Xenbus

/// The store half of a net back-end: offers features, takes up a front-end's rings, gives them back.
///
/// ```swift
/// let notices = XenbusNotices()
/// let driver = await NetBackendDriver(loop: thread.loop, platform: platform, notices: notices) { loop in TapPort(…) }
/// let ending = try await XenbusBackend(driver: driver, paths: paths, store: store, notices: notices).run()
/// await driver.close()
/// ```
/// Its port and rings live on `loop`, which must run until ``close()`` has returned.
public final class NetBackendDriver: BackendDriver {
  private let half: LoopConfined<NetBackendHalf>
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let logger: Logger
  private let followsMulticastControl: Bool

  private var loop: EventLoop { half.loop }

  /// Serves what `port` makes on the loop.
  /// - Parameter notices: the same that the life cycle gets.
  public init(
    loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices, configuration: NetBackConfiguration = NetBackConfiguration(),
    logger: Logger = Logger(label: "net.backend"), port: @escaping @Sendable (EventLoop) throws -> NetPort
  ) async throws {
    half = try await loop.run { () -> Result<LoopConfined<NetBackendHalf>, any Error> in
      Result {
        LoopConfined(NetBackendHalf(port: try port(loop), loop: loop, configuration: configuration, logger: logger), on: loop)
      }
    }.get()
    self.platform = platform
    self.notices = notices
    self.logger = logger
    followsMulticastControl = configuration.followsMulticastControl
  }

  /// Closes the port. After the life cycle has ended.
  public func close() async {
    await disconnect()
    await loop.run { [half] in half.value.port.close() }
  }

  // MARK: The life cycle's calls

  public var adoptsConnections: Bool { !platform.capabilities.reportsClosedPeers }

  public func advertise() async throws -> [String: String] {
    var keys = await loop.run { [half] in half.value.features.keys }
    // Where nobody watches `request-multicast-control` it is read when the front-end connects or reconfigures.
    let dynamic = NetifKeys.Backend.featureDynamicMulticastControl
    keys[dynamic.name] = dynamic.format(followsMulticastControl)
    return keys
  }

  public func backing(device: XenbusDirectory) async -> XenbusBacking {
    await setRate((try? device.valueIfPresent(NetifKeys.Backend.rate)) ?? nil)
    if device.contains(NetifKeys.Backend.script), device[NetifKeys.Backend.hotplugStatus.name] != "connected" {
      return .waiting(forKey: NetifKeys.Backend.hotplugStatus.name)
    }
    return .ready
  }

  /// Puts the value of the `rate` key in force, now and for later connections; nil: no limit. To be called when it changes while the
  /// device is connected. One that cannot be read is none, as for every back-end, but somebody meant one and is told.
  public func setRate(_ text: String?) async {
    let rate = text.flatMap(RateLimit.init)
    if let text, rate == nil { logger.warning("the key rate is '\(text)', expected BYTES,MICROSECONDS: no limit is in force") }
    await loop.run { [half] in half.value.setRate(rate) }
  }

  /// Puts the value of the front-end's key `request-multicast-control` in force: whether only multicast frames that the guest has asked for
  /// are delivered. To be called when it changes while the front-end is connected; one that cannot be read changes nothing.
  public func setMulticastControl(_ text: String?) async {
    guard let isActive = ["0": false, "1": true][text ?? "0"] else {
      return logger.debug("the front-end's key request-multicast-control is '\(text ?? "")', expected 0 or 1: nothing changes")
    }
    await loop.run { [half] in half.value.setMulticastControl(isActive) }
  }

  public func connect(frontend: XenbusDirectory) async throws -> [String: String] {
    let features = await loop.run { [half] in half.value.features }
    let transport = try NetTransport(reading: frontend, offered: features)
    let acceptance = try NetAcceptance(reading: frontend, offered: features)
    let channels = try bind(transport, of: frontend)
    let (platform, notices) = (platform, notices)
    let hasCarrier = try await loop.run { [half] in
      half.value.connect(transport, acceptance, granter: frontend.domain, channels: channels, platform: platform) { queue, fault in
        notices.peerViolation("the front-end broke queue \(queue): \(fault)")
      } onCarrier: { isUp in
        notices.capacityChanged(Self.carrierKeys(isUp))
      }
    }.get()
    for channel in channels.all { channel.onPeerClosed { notices.peerVanished() } }
    return Self.carrierKeys(hasCarrier)
  }

  private static func carrierKeys(_ isUp: Bool) -> [String: String] {
    [NetifKeys.Backend.carrier.name: NetifKeys.Backend.carrier.format(isUp)]
  }

  private func bind(_ transport: NetTransport, of frontend: XenbusDirectory) throws(NetConnectError) -> NetChannels {
    var channels = NetChannels()
    for queue in transport.queues {
      let ports: [EventChannelPort] =
        switch queue.ports {
        case .shared(let port): [port]
        case .split(let transmit, let receive): [transmit, receive]
        }
      channels.queues.append(try NetConnectError.bind(ports, of: frontend.domain, platform))
    }
    if let control = transport.control { channels.control = try NetConnectError.bind([control.port], of: frontend.domain, platform)[0] }
    return channels
  }

  public func reconfigure(frontend: XenbusDirectory) async throws -> [String: String] {
    let features = await loop.run { [half] in half.value.features }
    let acceptance = try NetAcceptance(reading: frontend, offered: features)
    await loop.run { [half] in half.value.setReceiving(acceptance) }
    return [:]
  }

  public func disconnect() async { await half.disconnect(logger) }

  /// What the back-end does now. From any task.
  public func status() async -> NetBackendStatus {
    await loop.run { [half] in half.value.status }
  }
}
