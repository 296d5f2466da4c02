public import XenInterface

/// One message of xs_wire: type, ids and payload. The payload is at most ``XenStoreProtocol/maximumPayloadByteCount`` bytes.
public struct XenStorePacket: Hashable, Sendable {
  /// The type as it came; it may be none of ``XenStoreMessageType``.
  public var rawType: UInt32
  /// Chosen by the client, repeated in the reply, zero in events.
  public var requestID: UInt32
  /// The transaction the request belongs to, zero for none.
  public var transactionID: UInt32
  public var payload: [UInt8]

  /// The type when it is one that this protocol defines.
  public var type: XenStoreMessageType? { XenStoreMessageType(rawValue: rawType) }

  public init(rawType: UInt32, requestID: UInt32 = 0, transactionID: UInt32 = 0, payload: [UInt8]) {
    self.rawType = rawType
    self.requestID = requestID
    self.transactionID = transactionID
    self.payload = payload
  }

  public init(_ type: XenStoreMessageType, requestID: UInt32 = 0, transactionID: UInt32 = 0, payload: [UInt8] = []) {
    self.init(rawType: type.rawValue, requestID: requestID, transactionID: transactionID, payload: payload)
  }

  /// A packet whose payload is `strings`, each with its NUL: the shape of most requests.
  public init(_ type: XenStoreMessageType, requestID: UInt32 = 0, transactionID: UInt32 = 0, strings: [String]) {
    self.init(type, requestID: requestID, transactionID: transactionID, payload: XenStorePayload.join(strings))
  }

  public var header: XenStoreHeader {
    var header = XenStoreHeader()
    header.type = rawType
    header.requestIdentifier = requestID
    header.transactionIdentifier = transactionID
    header.payloadByteCount = UInt32(truncatingIfNeeded: payload.count)
    return header
  }

  /// Appends header and payload to `output`. The payload must be within ``XenStoreProtocol/maximumPayloadByteCount``.
  public func encode(into output: inout [UInt8]) {
    precondition(payload.count <= XenStoreProtocol.maximumPayloadByteCount, "a payload of \(payload.count) bytes cannot be sent")
    header.encode(into: &output)
    output.append(contentsOf: payload)
  }

  /// Header and payload as they go over the wire.
  public var encoded: [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(XenStoreProtocol.headerByteCount + payload.count)
    encode(into: &output)
    return output
  }

  /// Appends a watch event as it goes over the wire: a header, then path and token, each with its NUL.
  public static func encodeEvent(path: [UInt8], token: [UInt8], into output: inout [UInt8]) {
    var header = XenStoreHeader()
    header.type = XenStoreMessageType.watchEvent.rawValue
    header.payloadByteCount = UInt32(path.count + token.count + 2)
    header.encode(into: &output)
    output.append(contentsOf: path)
    output.append(0)
    output.append(contentsOf: token)
    output.append(0)
  }
}
