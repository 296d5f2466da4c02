/// What a message has to look like, and when it may come: one row of the protocol. The session checks this before it looks at anything.
struct MessageRule {
  /// Sizes of the payload that are possible, in bytes.
  var payload: ClosedRange<Int>
  /// How many descriptors may come with it.
  var descriptors: ClosedRange<Int>
  /// What must have been negotiated.
  var needs: VhostUserFeatures = []
  /// It is answered with something other than an acknowledgement.
  var hasReply = false

  /// The row of each message.
  static func rule(of request: VhostUserRequest) -> MessageRule {
    switch request {
    case .getFeatures, .getProtocolFeatures, .getQueueNumber: row(0, reply: true)
    case .setFeatures, .setProtocolFeatures: row(8)
    case .setOwner, .resetOwner: row(0)
    case .setMemoryTable: MessageRule(payload: 8...(8 + 8 * MemoryRegionMessage.byteCount), descriptors: 0...8)
    case .setLogBase: MessageRule(payload: 16...16, descriptors: 1...1, needs: .logSharedMemory, hasReply: true)
    case .setLogDescriptor: row(0, descriptors: 1...1)
    case .setVringNumber, .setVringBase, .setVringEnable: row(8)
    case .setVringAddress: row(40)
    case .getVringBase: row(8, reply: true)
    case .setVringKick, .setVringCall, .setVringError: row(8, descriptors: 0...1)
    case .sendRARP: row(8, needs: .rarp)
    case .setMTU: row(8, needs: .mtu)
    case .setBackendChannel: row(0, descriptors: 1...1, needs: .backendChannel)
    case .getConfiguration: MessageRule(payload: 12...(12 + 256), descriptors: 0...0, needs: .configuration, hasReply: true)
    case .setConfiguration: MessageRule(payload: 12...(12 + 256), descriptors: 0...0, needs: .configuration)
    // 20 bytes, or 24 with the padding that some compilers' structures have.
    case .getInflightDescriptor: MessageRule(payload: 20...24, descriptors: 0...0, needs: .inflight, hasReply: true)
    case .setInflightDescriptor: MessageRule(payload: 20...24, descriptors: 1...1, needs: .inflight)
    case .resetDevice: row(0, needs: .resetDevice)
    case .getMaximumMemorySlots: row(0, needs: .memorySlots, reply: true)
    case .addMemoryRegion: row(8 + MemoryRegionMessage.byteCount, descriptors: 1...1, needs: .memorySlots)
    case .removeMemoryRegion: row(8 + MemoryRegionMessage.byteCount, descriptors: 0...1, needs: .memorySlots)
    case .setStatus: row(8, needs: .status)
    case .getStatus: row(0, needs: .status, reply: true)
    }
  }

  private static func row(
    _ byteCount: Int, descriptors: ClosedRange<Int> = 0...0, needs: VhostUserFeatures = [], reply: Bool = false
  ) -> MessageRule {
    MessageRule(payload: byteCount...byteCount, descriptors: descriptors, needs: needs, hasReply: reply)
  }

  /// Throws what is wrong with the form of a message.
  func check(_ request: VhostUserRequest, payloadByteCount: Int, descriptorCount: Int, negotiated: VhostUserFeatures) throws(VhostUserError) {
    guard payload.contains(payloadByteCount) else {
      throw VhostUserError(request, "its payload has \(payloadByteCount) bytes, expected \(Self.text(payload))")
    }
    guard descriptors.contains(descriptorCount) else {
      throw VhostUserError(request, "it came with \(descriptorCount) descriptors, expected \(Self.text(descriptors))")
    }
    guard negotiated.isSuperset(of: needs) else { throw VhostUserError(request, "it belongs to a protocol feature that was not negotiated") }
  }

  private static func text(_ range: ClosedRange<Int>) -> String {
    range.lowerBound == range.upperBound ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
  }
}

/// A region in a memory message (`VhostUserMemoryRegion`).
struct MemoryRegionMessage: Equatable {
  static let byteCount = 32

  var guestAddress: UInt64
  var regionByteCount: UInt64
  var userAddress: UInt64
  var fileOffset: UInt64

  init(_ bytes: [UInt8], at offset: Int) {
    guestAddress = Payload.word64(bytes, at: offset)
    regionByteCount = Payload.word64(bytes, at: offset + 8)
    userAddress = Payload.word64(bytes, at: offset + 16)
    fileOffset = Payload.word64(bytes, at: offset + 24)
  }
}

/// Where a queue is, in the VMM's addresses (`struct vhost_vring_addr`).
struct VringAddressMessage: Equatable {
  var queue: UInt32
  var marksWrites: Bool
  var descriptors: UInt64
  var device: UInt64
  var driver: UInt64
  var logAddress: UInt64

  init(_ bytes: [UInt8]) {
    queue = Payload.word32(bytes, at: 0)
    marksWrites = Payload.word32(bytes, at: 4) & 1 != 0
    descriptors = Payload.word64(bytes, at: 8)
    device = Payload.word64(bytes, at: 16)
    driver = Payload.word64(bytes, at: 24)
    logAddress = Payload.word64(bytes, at: 32)
  }
}

/// The memory that outlives a back-end (`VhostUserInflight`).
struct InflightMessage: Equatable {
  var byteCount: UInt64
  var fileOffset: UInt64
  var queueCount: UInt16
  var entryCount: UInt16

  init(byteCount: UInt64, queueCount: UInt16, entryCount: UInt16) {
    self.byteCount = byteCount
    fileOffset = 0
    self.queueCount = queueCount
    self.entryCount = entryCount
  }

  init(_ bytes: [UInt8]) {
    byteCount = Payload.word64(bytes, at: 0)
    fileOffset = Payload.word64(bytes, at: 8)
    queueCount = Payload.word16(bytes, at: 16)
    entryCount = Payload.word16(bytes, at: 18)
  }

  var bytes: [UInt8] {
    Payload.bytes(byteCount) + Payload.bytes(fileOffset) + Payload.bytes(queueCount) + Payload.bytes(entryCount) + [0, 0, 0, 0]
  }
}
