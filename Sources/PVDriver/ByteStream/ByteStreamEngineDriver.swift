import EventLoop
import XenPlatform
public import Xenbus

/// The store half of a back-end with a stream of bytes that an engine uses.
public final class ByteStreamEngineDriver<Engine: ByteStreamEngine>: ServedDriver {
  private typealias Interface = Engine.Interface
  private typealias Endpoint = ByteStreamEngineEndpoint<Engine>
  private let streams: ByteStreamBackendDriver<ByteStreamInterfaceDevice<Engine.Interface>, ByteStreamEngineEndpoint<Engine>>
  private let device: ByteStreamInterfaceDevice<Engine.Interface>

  private init(_ endpoint: LoopConfined<ByteStreamEngineEndpoint<Engine>>, _ setup: BackendSetup) async throws {
    let device = ByteStreamInterfaceDevice<Engine.Interface>(features: await setup.loop.run { endpoint.value.engine.features })
    self.device = device
    streams = try await ByteStreamBackendDriver(device, loop: setup.loop, platform: setup.platform, notices: setup.notices) { _ in endpoint.value }
  }

  public static var kind: DeviceKind { Engine.Interface.kind }

  public static var capabilities: DriverCapabilities {
    DriverCapabilities(Engine.Interface.self, transport: "byte-stream", optionKeys: Engine.optionKeys)
  }

  public static func open(_ setup: BackendSetup) async throws -> ByteStreamEngineDriver {
    try EngineOptionError.check(setup.options, known: Engine.optionKeys)
    let endpoint = try await setup.loop.run { () -> Result<LoopConfined<ByteStreamEngineEndpoint<Engine>>, any Error> in
      Result { LoopConfined(try ByteStreamEngineEndpoint<Engine>(setup), on: setup.loop) }
    }.get()
    return try await ByteStreamEngineDriver(endpoint, setup)
  }

  public func report() async -> DriverReport {
    await streams.withEndpoints { endpoints in
      let (endpoint, counted) = (endpoints[0], endpoints.total)
      var report = DriverReport()
      report.isConnected = endpoint.isConnected
      report.requests = counted.connectionCount
      report.bytes = counted.takenByteCount &+ counted.putByteCount
      report.events = counted.eventCount
      report.spuriousEvents = counted.spuriousEventCount
      report.signals = counted.signalCount
      report.fault = endpoint.fault.map { "\($0)" }
      report.counters = ["bytes_from_guest": counted.takenByteCount, "bytes_to_guest": counted.putByteCount]
        .merging(endpoint.engine.metrics) { own, _ in own }
      return report
    }
  }

  // MARK: The life cycle's calls

  public func advertise() async throws -> [String: String] { try await streams.advertise() }

  public func connect(frontend: XenbusDirectory) async throws -> [String: String] {
    let (_, agreement) = try Interface.accept(frontend, of: device.offer, device.features)
    await streams.withEndpoints { $0[0].agreement = agreement }
    return try await streams.connect(frontend: frontend)
  }

  public func disconnect() async { await streams.disconnect() }

  public func close() async { await streams.close() }
}
