public import EventLoop
public import Logging
public import SharedRing
import Synchronization
import XenInterface
public import XenPlatform
public import Xenbus

/// Why a front-end's stream moves nothing.
public enum ByteStreamClientError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The connection ended: what was on its way is lost, and a new stream begins with the next back-end.
  case connectionLost
  /// The front-end was closed.
  case closed

  public var description: String {
    switch self {
    case .connectionLost: "the connection ended; what was on its way is lost"
    case .closed: "the front-end is closed"
    }
  }
}

/// A device with a stream of bytes each way, as programs use it: from any task.
///
/// ```swift
/// try await device.use(EchoInterface.self) { client in
///   try await client.send(Array("hello".utf8))
///   let bytes = try await client.receive()
/// }
/// ```
public final class ByteStreamClient<Interface: ByteStreamInterface>: Sendable {
  /// The store half: for the life cycle.
  public let driver: ByteStreamClientDriver<Interface>

  private init(_ driver: ByteStreamClientDriver<Interface>) { self.driver = driver }

  /// A client that is served by `loop`, and not connected yet.
  public static func open(
    features: Interface.Features = Interface.Features(), loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices, logger: Logger
  ) async throws -> ByteStreamClient {
    ByteStreamClient(try await .init(features, loop: loop, platform: platform, notices: notices, logger: logger))
  }

  /// Sends all of `bytes`: returns when the last of them are in the ring. Waits for a back-end when there is none.
  public func send(_ bytes: [UInt8]) async throws(ByteStreamClientError) {
    guard !bytes.isEmpty else { return }
    _ = try await driver.ask { endpoint, done in endpoint.send(bytes) { done($0.map { [] }) } }
  }

  /// The next bytes, at least one and at most `limit`. Waits for them, and for a back-end when there is none.
  @discardableResult
  public func receive(upTo limit: Int = 65536) async throws(ByteStreamClientError) -> [UInt8] {
    try await driver.ask { endpoint, done in endpoint.receive(limit, done) }
  }

  /// What is used with the back-end; nil before the first connection.
  public var agreement: DriverAgreement<Interface.Features>? { driver.agreement }

  /// What happens to the connection from now on. Ends when the client is closed.
  public func reports() -> AsyncStream<ConnectionReport<ByteStreamFault>> { driver.reporter.reports() }

  /// Returns true when a back-end is connected, at once or later; false when the client is closed first.
  public func waitUntilConnected() async -> Bool { await driver.reporter.waitUntilConnected() }

  /// Fails what waits and everything from now on. After the life cycle has ended.
  public func close() async { await driver.close() }
}

/// The store half of a front-end with a stream of bytes.
public final class ByteStreamClientDriver<Interface: ByteStreamInterface>: FrontendDriver {
  /// Connection, and how often there was one.
  public let reporter = ConnectionReporter<ByteStreamFault>()
  private let device: ByteStreamInterfaceDevice<Interface>
  private let streams: ByteStreamFrontendDriver<ByteStreamInterfaceDevice<Interface>, ByteStreamClientEndpoint>
  private let agreed = Mutex<DriverAgreement<Interface.Features>?>(nil)

  init(_ features: Interface.Features, loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices, logger: Logger) async throws {
    device = ByteStreamInterfaceDevice(features: features)
    let reporter = reporter
    streams = try await ByteStreamFrontendDriver(
      device, loop: loop, platform: platform, notices: notices, logger: logger, onConnected: { reporter.connected() }
    ) { [ByteStreamClientEndpoint(loop: loop)] }
  }

  var agreement: DriverAgreement<Interface.Features>? { agreed.withLock { $0 } }

  /// What was moved over all connections. From any task.
  public func counters() async -> ByteStreamCounters { await streams.counters() }

  func ask(
    _ question: @escaping @Sendable (ByteStreamClientEndpoint, @escaping ByteStreamClientEndpoint.Answer) -> Void
  ) async throws(ByteStreamClientError) -> [UInt8] {
    let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<[UInt8], ByteStreamClientError>, Never>) in
      streams.onEndpoints { question($0[0]) { continuation.resume(returning: $0) } }
    }
    return try result.get()
  }

  public func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    let (_, agreement) = try Interface.choose(from: backend, wanting: device.features)
    agreed.withLock { $0 = agreement }
    var keys = try await streams.prepare(backend: backend).merging(agreement.features.acceptanceKeys) { own, _ in own }
    keys[DriverKeys.Frontend.version.name] = DriverKeys.Frontend.version.format(agreement.version)
    return keys
  }

  public func connected(backend: XenbusDirectory) async throws { try await streams.connected(backend: backend) }

  public func disconnect() async {
    if reporter.status.isConnected { reporter.disconnected() }
    await streams.disconnect()
  }

  func close() async {
    await streams.withEndpoints { $0[0].finish() }
    await streams.close()
    reporter.closed()
  }
}
