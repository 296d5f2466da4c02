import XenStoreWire

/// A watch event that has yet to be sent. It shares the memory of path and token with everybody else who waits for it.
struct WaitingEvent: Hashable {
  /// What changed, in the terms of the watch.
  let path: [UInt8]
  let token: [UInt8]

  /// The packet's length: the header, then path and token, each with its NUL.
  var byteCount: Int { XenStoreProtocol.headerByteCount + path.count + token.count + 2 }

  init(path: [UInt8], token: [UInt8]) {
    self.path = path
    self.token = token
  }

  /// Nil when the packet's payload is not a path and a token.
  init?(_ packet: XenStorePacket) {
    guard let strings = XenStorePayload.strings(packet.payload), strings.count == 2 else { return nil }
    self.init(path: Array(strings[0]), token: Array(strings[1]))
  }

  /// Appends the packet to `output`.
  func encode(into output: inout [UInt8]) { XenStorePacket.encodeEvent(path: path, token: token, into: &output) }
}
