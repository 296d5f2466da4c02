import EventLoop
import SharedRing
import XenInterface
import XenPlatform

/// What of a back-end lives on the loop: the engine for good, a plane from connect to disconnect.
final class RequestRingBackHalf<Engine: RequestRingEngine>: BackHalf {
  let engine: Engine
  private let setup: BackendSetup
  /// Over all connections, so that connecting again is no way around a limit.
  private let limit: RequestLimit
  private let connection = BackConnection<RequestRingBackPlane<Engine>>()
  private var past = RequestRingCounters()

  init(engine: Engine, setup: BackendSetup) {
    self.engine = engine
    self.setup = setup
    limit = RequestLimit(setup.rate)
  }

  func connect(
    _ transport: DriverTransport, features: Engine.Interface.Features, granter: DomainID, channel: EventChannel,
    platform: any XenPlatform, onFault: @escaping (RequestCarrierFault) -> Void
  ) -> Result<Void, RequestRingConnectError> {
    do throws(RequestRingConnectError) {
      try connection.begin(with: granter, platform) { grants throws(RequestRingConnectError) in
        try RequestRingBackPlane(
          engine: engine, setup: setup, limit: limit, grants: grants, transport: transport, channel: channel, onFault: onFault)
      }
    } catch {
      return .failure(error)
    }
    engine.connected(features, version: transport.version)
    return .success(())
  }

  /// Ends the connection, if there is one. Several may ask; all are told.
  func disconnect(_ done: @escaping (_ leakedPageCount: Int) -> Void) {
    // What it did is added up once, by the first who asks.
    let ending = connection.isEnding ? nil : connection.plane
    connection.end { [self] leaked in
      if let ending { past = counters(with: ending) }
      done(leaked)
    }
  }

  var isConnected: Bool { connection.plane != nil }

  /// Of all connections.
  var counters: RequestRingCounters {
    if let plane = connection.plane { return counters(with: plane) }
    var counters = past
    counters.mappedPageCount = 0
    return counters
  }

  private func counters(with plane: RequestRingBackPlane<Engine>) -> RequestRingCounters {
    var counters = plane.counters
    counters.add(past: past)
    return counters
  }
}
