import SharedMemory
import SharedRing
import XenInterface

/// The front-end's end. Loop thread only.
class RequestFrontCarrier<Request: WireRecord, Response: WireRecord> {
  /// Requests that can be in flight.
  var entryCount: Int { 0 }
  /// Requests that can be put now.
  var freeRequestCount: Int { 0 }
  func putRequest(_ request: Request) {}
  /// Shows the peer what was put. True when it wants to be signalled.
  func publishRequests() -> Bool { false }
  /// The next response; nil when there is none.
  func takeResponse() throws(RequestCarrierFault) -> Response? { nil }
  /// Whether ``takeResponse()`` would return or throw something.
  func hasResponses() -> Bool { false }
  /// Asks for a signal with the next response. True when there is one already.
  func armResponseEvent() throws(RequestCarrierFault) -> Bool { false }

  /// A new one in `memory`, which the back-end has not seen.
  static func make(in memory: SharedBytes, _ carrier: RequestCarrier, entryByteCount: Int) -> RequestFrontCarrier {
    switch carrier {
    case .ring: RingFrontCarrier(FrontRing(initializing: memory, entryByteCount: entryByteCount))
    case .mailbox: MailboxFrontCarrier(memory)
    }
  }
}

private final class RingFrontCarrier<Request: WireRecord, Response: WireRecord>: RequestFrontCarrier<Request, Response> {
  private let ring: FixedCell<FrontRing<Request, Response>>

  init(_ ring: consuming FrontRing<Request, Response>) { self.ring = FixedCell(ring) }

  override var entryCount: Int { ring.value.entryCount }
  override var freeRequestCount: Int { ring.value.freeRequestCount }
  override func putRequest(_ request: Request) { ring.value.putRequest(request) }
  override func publishRequests() -> Bool { ring.value.publishRequests() }
  override func takeResponse() throws(RequestCarrierFault) -> Response? {
    do throws(RingFault) { return try ring.value.takeResponse() } catch { throw .ring(error) }
  }
  override func hasResponses() -> Bool { ring.value.hasResponses() }
  override func armResponseEvent() throws(RequestCarrierFault) -> Bool {
    do throws(RingFault) { return try ring.value.armResponseEvent() } catch { throw .ring(error) }
  }
}

private final class MailboxFrontCarrier<Request: WireRecord, Response: WireRecord>: RequestFrontCarrier<Request, Response> {
  private let mailbox: FixedCell<MailboxFront>
  private var isSubmitted = false
  private var isWaiting = false

  init(_ memory: SharedBytes) { mailbox = FixedCell(MailboxFront(initializing: memory)) }

  override var entryCount: Int { 1 }
  override var freeRequestCount: Int { isWaiting ? 0 : 1 }
  override func putRequest(_ request: Request) {
    precondition(mailbox.value.submit(WireBytes(request).bytes), "a second message in a mailbox")
    isSubmitted = true
    isWaiting = true
  }
  override func publishRequests() -> Bool {
    defer { isSubmitted = false }
    return isSubmitted
  }
  override func takeResponse() throws(RequestCarrierFault) -> Response? {
    do throws(MailboxFault) {
      guard let message = try mailbox.value.takeAnswer() else { return nil }
      isWaiting = false
      return Response(message: message)
    } catch {
      throw .mailbox(error)
    }
  }
  override func hasResponses() -> Bool { isWaiting && mailbox.value.hasNews }
  override func armResponseEvent() throws(RequestCarrierFault) -> Bool { hasResponses() }
}
