public import EventLoop
public import Logging
public import XenInterface
public import XenPlatform

/// The ring half of a connected back-end, from connect to disconnect. Loop thread only.
public protocol BackPlane: AnyObject {
  /// Takes no more requests, waits for those under way, and gives everything back; then calls `done` with the number of
  /// pages that are still mapped, which is zero unless there is a mistake in this program.
  func stop(_ done: @escaping (_ leakedPageCount: Int) -> Void)
}

/// Why a front-end could not be taken up, as every back-end can say it: an error with these among its cases.
public protocol BackConnectError: Error {
  /// A front-end is connected already: our own mistake, told instead of trapped on because it ends only this device.
  static var alreadyConnected: Self { get }
  static func platform(_ error: PlatformError) -> Self
}

extension BackConnectError {
  /// What a domain has granted.
  public static func grants(of domain: DomainID, _ platform: any XenPlatform) throws(Self) -> ForeignGrants {
    do throws(PlatformError) { return try platform.foreignGrants(of: domain) } catch { throw .platform(error) }
  }

  /// Binds to the ports that a front-end has published, in their order.
  public static func bind(
    _ ports: some Sequence<EventChannelPort>, of domain: DomainID, _ platform: any XenPlatform
  ) throws(Self) -> [EventChannel] {
    var channels: [EventChannel] = []
    for port in ports {
      do throws(PlatformError) {
        channels.append(try platform.bindInterdomainChannel(remote: domain, port: port))
      } catch {
        throw .platform(error)
      }
    }
    return channels
  }
}

/// The one connection that a back-end has at a time. Loop thread only.
public final class BackConnection<Plane: BackPlane> {
  /// Nil while no front-end is connected.
  public private(set) var plane: Plane?
  /// Who waits for an end that is under way.
  private var waiting: [(Int) -> Void] = []

  public init() {}

  /// The plane finishes what is under way, and takes nothing new.
  public var isEnding: Bool { !waiting.isEmpty }

  /// Takes a front-end up: `make` gets what it has granted.
  public func begin<Failure: BackConnectError>(
    with granter: DomainID, _ platform: any XenPlatform, _ make: (ForeignGrants) throws(Failure) -> Plane
  ) throws(Failure) {
    guard plane == nil else { throw .alreadyConnected }
    plane = try make(Failure.grants(of: granter, platform))
  }

  /// Ends the connection, if there is one. Several may ask; all are told.
  public func end(_ done: @escaping (_ leakedPageCount: Int) -> Void) {
    guard let plane else { return done(0) }
    waiting.append(done)
    guard waiting.count == 1 else { return }
    plane.stop { [self] leaked in
      self.plane = nil
      let told = waiting
      waiting = []
      for done in told { done(leaked) }
    }
  }
}

/// What of a back-end lives on its loop, for good: what it serves, and the connection to whom it serves it.
public protocol BackHalf: AnyObject, SendableMetatype {
  /// Ends the connection, if there is one, and calls `done` when nothing of the front-end is held.
  func disconnect(_ done: @escaping (_ leakedPageCount: Int) -> Void)
}

extension LoopConfined where Value: BackHalf {
  /// Ends the connection, and returns when nothing of the front-end is held. From any task.
  public func disconnect(_ logger: Logger) async {
    let leaked = await withCheckedContinuation { continuation in
      loop.execute { value.disconnect { continuation.resume(returning: $0) } }
    }
    if leaked > 0 { logger.critical("\(leaked) pages of the front-end are still mapped after disconnecting: please report this") }
  }
}
