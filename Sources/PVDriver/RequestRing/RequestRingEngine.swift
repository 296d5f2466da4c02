import EventLoop
import XenInterface

/// What a request does. One of the two methods is enough.
///
/// ```swift
/// public final class EntropyEngine: RequestRingEngine {
///   public typealias Interface = EntropyInterface
///   public init(_ setup: EngineSetup) {}
///   public func handle(_ request: EntropyRequest, _ data: GrantedBytes) -> EntropyResponse {
///     data.fill(KernelRandom.fill)
///     return EntropyResponse(.okay)
///   }
/// }
/// ```
public protocol RequestRingEngine: DriverEngine {
  associatedtype Interface: RequestRingInterface

  /// Opens what the device serves. A failure ends the back-end with the error's text.
  init(_ setup: EngineSetup) throws

  /// Features to offer; all of the protocol's by default.
  var features: Interface.Features { get }

  /// A front-end connected; both ends use `features` and `version`.
  func connected(_ features: Interface.Features, version: UInt32)

  /// Does a request and returns its response. The framework fills in identifier and data length. Everything in `request` and
  /// `data` comes from the peer: check before use. A response with a `status` other than 0 is counted as a failure.
  func handle(_ request: Interface.Request, _ data: GrantedBytes) -> Interface.Response

  /// Does a request and answers it now or later, once. By default answers with ``handle(_:_:)``.
  func begin(_ request: Interface.Request, _ data: GrantedBytes, _ answer: RequestRingAnswer<Interface>)
}

extension RequestRingEngine {
  public var features: Interface.Features { Interface.Features() }
  public func connected(_ features: Interface.Features, version: UInt32) {}
  public func handle(_ request: Interface.Request, _ data: GrantedBytes) -> Interface.Response { Interface.Response(.unsupported) }

  public func begin(_ request: Interface.Request, _ data: GrantedBytes, _ answer: RequestRingAnswer<Interface>) {
    answer(handle(request, data))
  }
}

/// The place of one response: to be called once, on the device's loop, as soon as the request is done.
public struct RequestRingAnswer<Interface: RequestRingInterface> {
  let sink: RequestRingAnswerSink<Interface>
  let row: Int
  let generation: UInt32

  /// Answers. The request's data is not accessible any more. Traps when the request has its answer already.
  public func callAsFunction(_ response: Interface.Response) { sink.answer(row, generation, response) }
}

/// Where responses go. A class to be overridden, because its subclass knows the engine and this must not.
class RequestRingAnswerSink<Interface: RequestRingInterface>: LoopSource {
  func answer(_ row: Int, _ generation: UInt32, _ response: Interface.Response) { preconditionFailure("overridden") }
}
