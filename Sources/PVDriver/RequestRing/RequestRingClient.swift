public import EventLoop
import LinuxSystem
public import SharedRing
import XenInterface

/// How a front-end with a request/response ring behaves.
public struct RequestRingFrontConfiguration<Interface: RequestRingInterface>: Sendable {
  /// Features to use, as far as the back-end has them.
  public var features = Interface.Features()
  /// How long to look at the ring before sleeping, while requests are in flight.
  public var polling = PollingPolicy.standard
  /// How long a call waits for a back-end, in nanoseconds.
  public var reconnectTimeoutNanoseconds: UInt64 = 30_000_000_000
  /// Calls that may wait for room or for a back-end; more fail at once.
  public var waitingLimit = 4096

  public init() {}
}

/// A device as programs use it: asynchronous calls, from any task, many at once.
///
/// ```swift
/// let client = RequestRingClient<EntropyInterface>(on: thread.loop)
/// // … run a XenbusFrontend with RequestRingFrontendDriver(client, …) …
/// let reply = try await client.call(EntropyRequest(), receiving: 4096)
/// ```
/// Pages, grants, events, batching and reconnecting are the framework's. Calls that are in flight together may be done in any
/// order. A call is not cancelled with its task: it was asked for, and its pages are with the back-end.
public final class RequestRingClient<Interface: RequestRingInterface>: Sendable {
  public let configuration: RequestRingFrontConfiguration<Interface>
  private let served: ServedPlane<RequestRingFrontPlane<Interface>>
  private let reporter: ConnectionReporter<RequestRingFrontFault>

  /// A client that is served by `loop`, and not connected yet.
  public init(on loop: EventLoop, configuration: RequestRingFrontConfiguration<Interface> = RequestRingFrontConfiguration()) {
    let reporter = ConnectionReporter<RequestRingFrontFault>()
    self.configuration = configuration
    self.reporter = reporter
    served = ServedPlane(RequestRingFrontPlane<Interface>(configuration: configuration, reporter: reporter), on: loop)
  }

  var plane: LoopConfined<RequestRingFrontPlane<Interface>> { served.plane }

  /// Sends `request` and returns what came back, when the back-end has answered with `okay`.
  /// - Parameters:
  ///   - request: the driver's own fields; the framework fills in the others.
  ///   - outgoing: data for the back-end.
  ///   - byteCount: room for data from the back-end, in bytes. The reply has what it wrote.
  /// - Throws: ``RequestRingError``.
  public func call(
    _ request: Interface.Request, sending outgoing: [UInt8] = [], receiving byteCount: Int = 0
  ) async throws(RequestRingError) -> RequestRingReply<Interface> {
    let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<RequestRingReply<Interface>, RequestRingError>, Never>) in
      plane.loop.execute { [plane] in
        plane.value.submit(
          RequestRingCall(request, outgoing: outgoing, incomingByteCount: byteCount, waitingSince: MonotonicClock.nowNanoseconds) {
            continuation.resume(returning: $0)
          })
      }
    }
    return try result.get()
  }

  /// Most bytes of data that one call can send or receive.
  public var maximumDataByteCount: Int { Interface.maximumDataByteCount }

  /// What is used with the connected back-end; nil before the first connection.
  public func features() async -> Interface.Features? { await plane.loop.run { [plane] in plane.value.features } }

  /// Connection and the last failure, as they are now.
  public var status: ConnectionStatus { reporter.status }

  /// What happens to the connection from now on, for any number of listeners. Ends when the client is closed.
  public func reports() -> AsyncStream<ConnectionReport<RequestRingFrontFault>> { reporter.reports() }

  /// Returns true when a back-end is connected, at once or later; false when the client is closed first.
  public func waitUntilConnected() async -> Bool { await reporter.waitUntilConnected() }

  /// Fails what waits and everything from now on. After the life cycle has ended.
  public func close() async { await served.close() }
}
