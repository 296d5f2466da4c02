/// The 16 bytes before every payload: four little-endian words (`struct xsd_sockmsg`).
public struct XenStoreHeader: Hashable, Sendable {
  /// The type as it came; it may be none of ``XenStoreMessageType`` (`xsd_sockmsg.type`).
  public var rawType: UInt32
  /// Chosen by the client, repeated in the reply, zero in events (`xsd_sockmsg.req_id`).
  public var requestID: UInt32
  /// The transaction the request belongs to, zero for none (`xsd_sockmsg.tx_id`).
  public var transactionID: UInt32
  /// Bytes that follow the header (`xsd_sockmsg.len`). Untrusted: check against ``XenStoreProtocol/maximumPayloadByteCount``.
  public var payloadByteCount: UInt32

  public init(rawType: UInt32, requestID: UInt32, transactionID: UInt32, payloadByteCount: UInt32) {
    self.rawType = rawType
    self.requestID = requestID
    self.transactionID = transactionID
    self.payloadByteCount = payloadByteCount
  }

  /// Decodes the header at the start of `bytes`, of which there must be at least ``XenStoreProtocol/headerByteCount``.
  public init(decoding bytes: some RandomAccessCollection<UInt8>) {
    precondition(bytes.count >= XenStoreProtocol.headerByteCount, "a header is \(XenStoreProtocol.headerByteCount) bytes")
    var words: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)
    for (index, byte) in bytes.prefix(XenStoreProtocol.headerByteCount).enumerated() {
      let bits = UInt32(byte) << UInt32(8 * (index % 4))
      switch index / 4 {
      case 0: words.0 |= bits
      case 1: words.1 |= bits
      case 2: words.2 |= bits
      default: words.3 |= bits
      }
    }
    self.init(rawType: words.0, requestID: words.1, transactionID: words.2, payloadByteCount: words.3)
  }

  /// Appends the header's 16 bytes to `output`.
  public func encode(into output: inout [UInt8]) {
    for word in [rawType, requestID, transactionID, payloadByteCount] {
      output.append(UInt8(truncatingIfNeeded: word))
      output.append(UInt8(truncatingIfNeeded: word >> 8))
      output.append(UInt8(truncatingIfNeeded: word >> 16))
      output.append(UInt8(truncatingIfNeeded: word >> 24))
    }
  }
}
