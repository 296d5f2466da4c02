import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// The back-end's end of what carries requests. Classes to be overridden, so that the data path calls through a table slot. Loop thread only.
class RequestBackCarrier<Request: WireRecord, Response: WireRecord> {
  /// Requests that can be taken and not answered.
  var entryCount: Int { 0 }
  /// The next request; nil when there is none.
  func takeRequest() throws(RequestCarrierFault) -> Request? { nil }
  func putResponse(_ response: Response) {}
  /// Shows the peer what was put. True when it wants to be signalled.
  func publishResponses() -> Bool { false }
  /// Whether ``takeRequest()`` would return or throw something.
  func hasRequests() -> Bool { false }
  /// Asks for a signal with the next request. True when there is one already.
  func armRequestEvent() throws(RequestCarrierFault) -> Bool { false }
  /// Gives the memory back; nothing of this may be used afterwards.
  func unmap() {}

  /// The end that `mapping` holds.
  static func attach(_ mapping: consuming GrantMapping, _ carrier: RequestCarrier, entryByteCount: Int) throws(RingFault) -> RequestBackCarrier {
    switch carrier {
    case .ring: RingBackCarrier(try MappedBackRing(mapping, entryByteCount: entryByteCount))
    case .mailbox: MailboxBackCarrier(mapping)
    }
  }
}

private final class RingBackCarrier<Request: WireRecord, Response: WireRecord>: RequestBackCarrier<Request, Response> {
  private let ring: MappedBackRing<Request, Response>

  init(_ ring: MappedBackRing<Request, Response>) { self.ring = ring }

  override var entryCount: Int { ring.cell.value.entryCount }
  override func takeRequest() throws(RequestCarrierFault) -> Request? {
    do throws(RingFault) { return try ring.cell.value.takeRequest() } catch { throw .ring(error) }
  }
  override func putResponse(_ response: Response) { ring.cell.value.putResponse(response) }
  override func publishResponses() -> Bool { ring.cell.value.publishResponses() }
  override func hasRequests() -> Bool { ring.cell.value.hasRequests() }
  override func armRequestEvent() throws(RequestCarrierFault) -> Bool {
    do throws(RingFault) { return try ring.cell.value.armRequestEvent() } catch { throw .ring(error) }
  }
  override func unmap() { ring.unmap() }
}

/// The peer signals each message, so there is nothing to ask for. A message that is shorter than a record is one of an older peer, a longer
/// one of a newer peer: what is not there is zero, what is not known is left out.
private final class MailboxBackCarrier<Request: WireRecord, Response: WireRecord>: RequestBackCarrier<Request, Response> {
  private let mailbox: FixedCell<MailboxBack>
  private var mapping: GrantMapping?
  private var isTaken = false
  private var isAnswered = false

  init(_ mapping: consuming GrantMapping) {
    mailbox = FixedCell(MailboxBack(attaching: mapping.bytes))
    self.mapping = consume mapping
  }

  override var entryCount: Int { 1 }
  override func takeRequest() throws(RequestCarrierFault) -> Request? {
    // Whatever the peer writes meanwhile, one request is answered before the next is looked for.
    if isTaken { return nil }
    do throws(MailboxFault) {
      guard let taken = try mailbox.value.take() else { return nil }
      isTaken = true
      return Request(message: taken.message)
    } catch {
      throw .mailbox(error)
    }
  }
  override func putResponse(_ response: Response) {
    mailbox.value.answer(WireBytes(response).bytes)
    isTaken = false
    isAnswered = true
  }
  override func publishResponses() -> Bool {
    defer { isAnswered = false }
    return isAnswered
  }
  override func hasRequests() -> Bool { !isTaken && mailbox.value.hasNews }
  override func armRequestEvent() throws(RequestCarrierFault) -> Bool { hasRequests() }
  override func unmap() { mapping = nil }
}

extension WireRecord {
  /// What the bytes of a message say: they may be fewer than the record has, or more.
  init(message: [UInt8]) {
    let missing = max(0, Self.byteCount - message.count)
    self.init(copying: WireBytes(message + [UInt8](repeating: 0, count: missing)), at: 0)
  }
}
