import EventLoop
public import Logging
import NetInterface
public import NetPackets
import PVDriver
import Synchronization
import SystemPackage
import XenInterface
public import XenPlatform
public import Xenbus

/// The store half of a net front-end: negotiates, makes arenas and event channels, and tells the ring half when to use them.
///
/// ```swift
/// let notices = XenbusNotices()
/// let driver = NetFrontendDriver(interface, toolstack: directory, platform: platform, notices: notices)
/// let ending = try await XenbusFrontend(driver: driver, paths: paths, store: store, notices: notices).run()
/// await interface.close()
/// ```
public final class NetFrontendDriver: FrontendDriver {
  private let frontend: NetFrontend
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let logger: Logger
  private let address: MACAddress?
  private let mtu: Int
  private let connection: FrontConnection<NetFrontPlane>
  private let transport = Mutex<NetTransport?>(nil)

  /// - Parameters:
  ///   - address: what the toolstack wrote into the front-end's directory (`mac`).
  ///   - mtu: the same (`mtu`).
  public init(
    _ frontend: NetFrontend, address: MACAddress?, mtu: Int = 1500, platform: any XenPlatform, notices: XenbusNotices,
    logger: Logger = Logger(label: "net.frontend")
  ) {
    self.frontend = frontend
    self.address = address
    self.mtu = mtu
    self.platform = platform
    self.notices = notices
    self.logger = logger
    connection = FrontConnection(frontend.plane, notices: notices, logger: logger)
  }

  public func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    let configuration = frontend.configuration
    let offered = try NetFeatures(reading: backend)
    let count = max(1, min(configuration.queueCount, offered.maximumQueueCount, NetLimits.queueCount))
    let isSplit = configuration.splitEventChannels && offered.splitEventChannels
    let hasControl = configuration.keepsGrantsMapped && offered.controlRing
    // Off the loop: the platform may have to ask the broker, and new arenas' pages take a while.
    let handOver = HandOver(try NetFrontArenas(platform, for: backend.domain, queueCount: count, hasControl: hasControl, configuration))
    let made = try (0..<count).map { _ in try platform.allocateUnboundChannels(isSplit ? 2 : 1, for: backend.domain) }
    let controlChannel = try platform.allocateUnboundChannels(hasControl ? 1 : 0, for: backend.domain).first
    let references = try await frontend.loop.run { [frontend, notices, logger] () -> Result<RingReferences, Errno> in
      let plane = frontend.plane.value
      do throws(Errno) {
        let connection = try NetFrontConnection(
          arenas: handOver.take(), channels: made, control: controlChannel, capabilities: offered.capabilities, configuration: configuration,
          loop: plane.loop)
        plane.prepare(connection)
        plane.onFault = { notices.peerViolation($0.description) }
        plane.onControlEnd = { ending, keptCount in
          logger.log(level: ending.isFault ? .warning : .debug, "grants that the back-end keeps mapped: \(keptCount); \(ending)")
        }
        return .success(RingReferences(connection))
      } catch {
        return .failure(error)
      }
    }.get()
    connection.hold(made.flatMap { $0 } + (controlChannel.map { [$0] } ?? []))
    let queues = zip(references.queues, made).map { rings, channels in
      NetTransport.Queue(
        transmitRingReference: rings.transmit, receiveRingReference: rings.receive,
        ports: channels.count == 2 ? .split(transmit: channels[0].port, receive: channels[1].port) : .shared(channels[0].port))
    }
    var transport = NetTransport(queues: queues)
    if let reference = references.control, let controlChannel {
      transport.control = NetTransport.Control(ringReference: reference, port: controlChannel.port)
    }
    self.transport.withLock { [transport] in $0 = transport }
    let acceptance = NetAcceptance(capabilities: configuration.capabilities)
    return transport.keys.merging(acceptance.keys) { _, new in new }
  }

  public var obsoleteKeys: [String] { transport.withLock { $0?.obsoleteKeys ?? [] } }

  public func connected(backend: XenbusDirectory) async throws {
    let link = try link(backend)
    await frontend.loop.run { [frontend] in frontend.plane.value.start(link) }
  }

  public func backendChanged(backend: XenbusDirectory) async {
    do {
      let link = try link(backend)
      await frontend.loop.run { [frontend] in frontend.plane.value.change(link) }
    } catch {
      logger.warning("the back-end's new keys are not used: \(error)")
    }
  }

  private func link(_ backend: XenbusDirectory) throws -> NetFrontLink {
    NetFrontLink(
      address: address, mtu: mtu, isUp: try backend.value(NetifKeys.Backend.carrier), queueCount: transport.withLock { $0?.queues.count ?? 0 },
      capabilities: try NetFeatures(reading: backend).capabilities)
  }

  public func quiesce() async { await connection.quiesce() }
  public func disconnect() async { await connection.disconnect() }
}

/// The pages of a connection's rings.
private struct RingReferences: Sendable {
  let queues: [(transmit: GrantReference, receive: GrantReference)]
  let control: GrantReference?

  init(_ connection: NetFrontConnection) {
    queues = connection.queues.map { (transmit: $0.transmitRingReference, receive: $0.receiveRingReference) }
    control = connection.control?.ringReference
  }
}
