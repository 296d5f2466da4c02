import EventLoop
import SharedRing
import XenInterface
import XenPlatform

/// What of a back-end lives on the loop: the engine for good, a plane from connect to disconnect.
final class RequestRingBackHalf<Engine: RequestRingEngine> {
  let engine: Engine
  private let setup: BackendSetup
  /// Over all connections, so that connecting again is no way around a limit.
  private let limit: RequestLimit
  private var plane: RequestRingBackPlane<Engine>?
  private var past = RequestRingCounters()
  /// Who waits for a disconnect that is under way.
  private var disconnecting: [(Int) -> Void] = []

  init(engine: Engine, setup: BackendSetup) {
    self.engine = engine
    self.setup = setup
    limit = RequestLimit(setup.rate)
  }

  func connect(
    _ transport: DriverTransport, features: Engine.Interface.Features, granter: DomainID, channel: EventChannel,
    platform: any XenPlatform, onFault: @escaping (RequestCarrierFault) -> Void
  ) -> Result<Void, RequestRingConnectError> {
    guard plane == nil else { return .failure(.alreadyConnected) }
    do throws(RequestRingConnectError) {
      let grants: ForeignGrants
      do throws(PlatformError) { grants = try platform.foreignGrants(of: granter) } catch { throw .platform(error) }
      plane = try RequestRingBackPlane(
        engine: engine, setup: setup, limit: limit, grants: grants, transport: transport, channel: channel, onFault: onFault)
    } catch {
      return .failure(error)
    }
    engine.connected(features, version: transport.version)
    return .success(())
  }

  /// Ends the connection, if there is one. Several may ask; all are told.
  func disconnect(_ done: @escaping (_ leakedPageCount: Int) -> Void) {
    guard let plane else { return done(0) }
    disconnecting.append(done)
    guard disconnecting.count == 1 else { return }
    plane.stop { [self] leaked in
      past = counters
      self.plane = nil
      let waiting = disconnecting
      disconnecting = []
      for done in waiting { done(leaked) }
    }
  }

  var isConnected: Bool { plane != nil }

  /// Of all connections.
  var counters: RequestRingCounters {
    guard var counters = plane?.counters else {
      var counters = past
      counters.mappedPageCount = 0
      return counters
    }
    counters.add(past: past)
    return counters
  }
}
