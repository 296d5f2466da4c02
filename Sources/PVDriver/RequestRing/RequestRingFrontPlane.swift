import EventLoop
import LinuxSystem
import SharedMemory
import SharedRing
import XenInterface

/// The ring half of a front-end: one device's calls on one loop.
///
/// Calls go in with ``submit(_:)``; those of one turn are published together, what finds no room waits in order. Without a
/// connection calls wait for one, for a bounded time. Loop thread only.
final class RequestRingFrontPlane<Interface: RequestRingInterface>: LoopSource, FrontPlane {
  typealias Call = RequestRingCall<Interface>

  let configuration: RequestRingFrontConfiguration<Interface>
  let reporter: ConnectionReporter<RequestRingFrontFault>
  var phase = FrontPhase.disconnected
  var connection: RequestRingFrontConnection<Interface>?
  /// What is used with the connected back-end.
  var features: Interface.Features?
  /// Calls that are not sent, in order; those before `firstWaiting` are gone.
  var waiting: [Call] = []
  var firstWaiting = 0
  var disconnectedSince = MonotonicClock.nowNanoseconds
  var quiesced: (() -> Void)?
  var deadlineTimer: LoopTimer?
  /// Called when the back-end broke a rule: the store half then ends the connection.
  var onFault: ((RequestRingFrontFault) -> Void)?
  private var poller: AdaptivePoller
  private static var budget: Int { 256 }

  init(configuration: RequestRingFrontConfiguration<Interface>, reporter: ConnectionReporter<RequestRingFrontFault>) {
    self.configuration = configuration
    self.reporter = reporter
    poller = AdaptivePoller(configuration.polling)
  }

  var waitingCount: Int { waiting.count - firstWaiting }

  /// Sends `call` as soon as there is a back-end and room.
  func submit(_ call: Call) {
    if phase == .closed { return call.complete(.failure(.closed)) }
    guard call.dataByteCount <= Interface.maximumDataByteCount else {
      return call.complete(.failure(.tooLarge(byteCount: call.dataByteCount, maximum: Interface.maximumDataByteCount)))
    }
    guard waitingCount < configuration.waitingLimit else {
      return call.complete(.failure(.tooManyWaiting(limit: configuration.waitingLimit)))
    }
    waiting.append(call)
    if phase == .connected { dispatch() } else { armDeadline() }
  }

  // MARK: Turns

  override func service() -> Service {
    guard let connection, phase == .connected || phase == .quiescing else { return .idle }
    var worked = reap(connection)
    if phase == .connected { dispatch() }
    if phase != .severed, connection.carrier.publishRequests() {
      connection.loopChannel?.signal()
      worked = true
    }
    return worked ? .worked : .idle
  }

  private func reap(_ connection: RequestRingFrontConnection<Interface>) -> Bool {
    var count = 0
    do throws(RequestRingFrontFault) {
      while count < Self.budget, let (call, response, data) = try connection.reap() {
        count += 1
        if response.status == RequestRingResult.okay.rawValue {
          call.complete(.success(RequestRingReply(response: response, data: data)))
        } else {
          call.complete(.failure(.failed(response.result, status: response.status)))
        }
      }
    } catch {
      sever(.broken(error))
      return true
    }
    connection.reapedSinceEvent += count
    if connection.loopChannel?.isPending == true {
      connection.loopChannel?.rearm(spurious: connection.reapedSinceEvent == 0)
      connection.reapedSinceEvent = 0
    }
    if count > 0 { poller.workArrived(at: MonotonicClock.nowNanoseconds) }
    if connection.inFlightCount == 0 { quiesced.take()?() }
    return count > 0
  }

  /// Sends what waits, as far as there is room.
  func dispatch() {
    guard let connection else { return }
    while firstWaiting < waiting.count, connection.send(waiting[firstWaiting]) { firstWaiting += 1 }
    // Now and then, so that taking a call costs the same however many wait.
    if firstWaiting == waiting.count || firstWaiting > 1024 {
      waiting.removeFirst(firstWaiting)
      firstWaiting = 0
    }
  }

  override func hasWork() -> Bool {
    guard let connection, phase == .connected || phase == .quiescing else { return false }
    return connection.carrier.hasResponses()
  }

  override func wantsPolling(now: UInt64) -> Bool {
    guard let connection, phase == .connected || phase == .quiescing else { return false }
    return connection.inFlightCount > 0 && poller.shouldKeepPolling(now: now)
  }

  override func prepareToSleep() -> Bool {
    guard let connection, phase == .connected || phase == .quiescing else { return false }
    // Another source may have submitted after our turn.
    if connection.carrier.publishRequests() { connection.loopChannel?.signal() }
    do throws(RequestCarrierFault) {
      return try connection.carrier.armResponseEvent()
    } catch {
      sever(.broken(.ring(error)))
      return true
    }
  }
}
