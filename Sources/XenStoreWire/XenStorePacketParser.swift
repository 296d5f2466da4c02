import XenInterface

/// Cuts a byte stream into packets, whatever pieces it arrives in.
///
/// Holds at most one incomplete packet plus what was fed in one call, so memory is bounded by the caller's read size.
/// ```swift
/// parser.feed(bytes)
/// while case .packet(let packet) = parser.next() { handle(packet) }
/// ```
public struct XenStorePacketParser: Sendable {
  /// What the bytes so far amount to.
  public enum Outcome: Hashable, Sendable {
    /// The next packet is not complete.
    case needsMoreBytes
    /// One packet; ask again, there may be another.
    case packet(XenStorePacket)
    /// The peer announced a payload that the protocol forbids: nothing behind it can be trusted, the connection must be closed.
    case violation(payloadByteCount: UInt32)
  }

  /// Bytes of buffer that an idle parser may hold on to.
  private static let keptByteCount = 16 << 10

  /// The payload that the peer announced and must not send: nothing is taken any more.
  private var violation: UInt32?
  private var buffer: [UInt8] = []
  private var start = 0

  public init() {}

  /// Bytes that were fed and not yet returned in a packet.
  public var bufferedByteCount: Int { buffer.count - start }

  /// Whether nothing waits in it, and a packet may begin with the next byte.
  public var isIdle: Bool { violation == nil && start == buffer.count }

  /// Takes a whole packet that begins at `start` of the first `count` bytes of `buffer`, and moves `start` behind it. Nil, and nothing is
  /// moved, when it is not complete or not allowed: a parser says which.
  public static func packet(at start: inout Int, of buffer: [UInt8], count: Int) -> XenStorePacket? {
    let payloadStart = start + XenStoreProtocol.headerByteCount
    guard payloadStart <= count else { return nil }
    let header = XenStoreHeader(copying: ReceivedBytes(bytes: buffer), at: start)
    guard header.payloadByteCount <= UInt32(XenStoreProtocol.maximumPayloadByteCount) else { return nil }
    let end = payloadStart + Int(header.payloadByteCount)
    guard end <= count else { return nil }
    start = end
    return XenStorePacket(
      rawType: header.type, requestID: header.requestIdentifier, transactionID: header.transactionIdentifier,
      payload: Array(buffer[payloadStart..<end]))
  }

  /// Everything that was fed and is not part of a packet that was taken: what another parser needs to go on.
  public var unparsedBytes: [UInt8] { Array(buffer[start...]) }

  /// Adds bytes that arrived. After a violation they are dropped.
  public mutating func feed(_ bytes: some Collection<UInt8>) {
    if violation != nil { return }
    if start == buffer.count {
      // What one burst needed is not kept for ever.
      buffer.removeAll(keepingCapacity: buffer.count <= XenStorePacketParser.keptByteCount)
    } else {
      // Only the tail of an incomplete packet is moved, never the packets already taken.
      buffer.removeFirst(start)
    }
    start = 0
    buffer.append(contentsOf: bytes)
  }

  /// Takes the next packet, if it is complete.
  public mutating func next() -> Outcome {
    if let packet = XenStorePacketParser.packet(at: &start, of: buffer, count: buffer.count) { return .packet(packet) }
    if violation == nil, bufferedByteCount >= XenStoreProtocol.headerByteCount {
      let byteCount = XenStoreHeader(copying: ReceivedBytes(bytes: buffer), at: start).payloadByteCount
      if byteCount > UInt32(XenStoreProtocol.maximumPayloadByteCount) {
        violation = byteCount
        buffer = []
        start = 0
      }
    }
    guard let violation else { return .needsMoreBytes }
    return .violation(payloadByteCount: violation)
  }
}
