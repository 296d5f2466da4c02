public import SharedRing
public import XenInterface

/// The slots that are to be answered for one frame: what a back-end keeps of a chain until the frame is sent.
@frozen public struct TransmitAnswer: Sendable {
  @usableFromInline var identifiers: InlineArray<21, UInt16>
  @usableFromInline var identifierCount: UInt8
  /// Slots that held extra infos. Not more than the ring has, so it always fits.
  @usableFromInline var extraCount: UInt32

  /// No slots.
  @inlinable public init() {
    identifiers = InlineArray(repeating: 0)
    identifierCount = 0
    extraCount = 0
  }

  /// One request.
  @inlinable public init(identifier: UInt16) {
    self.init()
    identifiers[0] = identifier
    identifierCount = 1
  }

  /// Slots, of both kinds.
  @inlinable public var slotCount: Int { Int(identifierCount) + Int(extraCount) }

  /// The identifier of the first request.
  @inlinable public var firstIdentifier: UInt16 { identifiers[0] }
}

extension TransmitAssembler {
  /// The slots of the last chain.
  @inlinable public var answer: TransmitAnswer {
    var answer = TransmitAnswer()
    answer.identifierCount = UInt8(identifierCount)
    answer.extraCount = UInt32(extraCount)
    for index in 0..<identifierCount { answer.identifiers[index] = identifier(index) }
    return answer
  }
}

extension TransmitAssembler {
  /// The last chain was one request, which most are.
  @inlinable public var isSingleRequest: Bool { identifierCount == 1 && extraCount == 0 }
}

extension BackRing where Request == NetifTransmitRequest, Response == NetifTransmitResponse {
  /// Answers every slot of a chain: `status` for its requests, `null` for its extra infos, these directly after the first
  /// request's (`_make_tx_response`, drivers/net/xen-netback/netback.c).
  @inlinable public mutating func putResponses(to answer: TransmitAnswer, status: NetifStatus) {
    if answer.identifierCount == 0 { return }
    let identifiers = answer.identifiers.span
    putResponse(NetifTransmitResponse(identifier: identifiers[0], status: status))
    for _ in 0..<answer.extraCount { putResponse(NetifTransmitResponse(identifier: 0, status: .null)) }
    for index in 1..<max(1, Int(answer.identifierCount)) { putResponse(NetifTransmitResponse(identifier: identifiers[index], status: status)) }
  }
}

extension NetifTransmitResponse {
  @inlinable public init(identifier: UInt16, status: NetifStatus) {
    self.init()
    self.identifier = identifier
    self.status = status.rawValue
  }
}
