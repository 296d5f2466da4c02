public import NetPackets
public import XenInterface

/// The slots of a transmit ring that one frame takes: the front-end's side. In order: the first piece, the extra infos, the
/// other pieces.
///
/// ```swift
/// let slots = TransmitSlots(byteCount: 9014, pieceCount: 3, offload: offload)
/// ring.putRequest(slots.request(0, grantReference: grant, offset: 0, byteCount: 4096, identifier: identifier))
/// for index in 0..<slots.extraCount { ring.putRequest(slots.extra(index)) }
/// ```
@frozen public struct TransmitSlots: Sendable {
  /// Bytes of the frame.
  public let byteCount: Int
  /// Pieces of the frame, 1 to ``NetLimits/pieceCount``, each within one page.
  public let pieceCount: Int
  @usableFromInline let offload: FrameOffload
  @usableFromInline let hash: FrameHash?

  /// - Precondition: a frame that the wire has room for, of at least an Ethernet header, and at least one piece.
  @inlinable public init(byteCount: Int, pieceCount: Int, offload: FrameOffload = FrameOffload(), hash: FrameHash? = nil) {
    precondition(byteCount >= NetLimits.minimumFrameByteCount && byteCount <= NetLimits.frameByteCount, "a frame of \(byteCount) bytes")
    precondition(pieceCount >= 1 && pieceCount <= NetLimits.pieceCount, "a frame of \(pieceCount) pieces")
    self.byteCount = byteCount
    self.pieceCount = pieceCount
    self.offload = offload
    self.hash = hash
  }

  /// Pieces that `byteCount` bytes take which begin `offset` bytes into a page and go on at the beginning of others.
  @inlinable public static func pieceCount(ofByteCount byteCount: Int, at offset: Int) -> Int {
    byteCount == 0 ? 0 : (offset % NetLimits.pieceByteCount + byteCount + NetLimits.pieceByteCount - 1) / NetLimits.pieceByteCount
  }

  /// Slots with extra infos.
  @inlinable public var extraCount: Int { (offload.segmentation == .none ? 0 : 1) + (hash == nil ? 0 : 1) }

  /// Slots that the frame takes.
  @inlinable public var count: Int { pieceCount + extraCount }

  /// The request for piece `index`. The first one says the size of the whole frame; `byteCount` is that of the piece.
  @inlinable public func request(
    _ index: Int, grantReference: GrantReference, offset: Int, byteCount: Int, identifier: UInt16
  ) -> NetifTransmitRequest {
    precondition(index >= 0 && index < pieceCount && byteCount >= 0 && offset >= 0, "a piece that the frame does not have")
    precondition(offset <= NetLimits.pieceByteCount - byteCount, "a piece that ends outside its page")
    var flags: NetifTransmitFlags = index + 1 < pieceCount ? .moreData : []
    if index == 0 {
      flags.formUnion(offload.transmitFlags)
      if extraCount > 0 { flags.insert(.extraInfo) }
    }
    var request = NetifTransmitRequest()
    request.grantReference = grantReference
    request.offset = UInt16(offset)
    request.flags = flags.rawValue
    request.identifier = identifier
    request.byteCount = UInt16(index == 0 ? self.byteCount : byteCount)
    return request
  }

  /// The request for a frame that is one piece without extra infos.
  @inlinable public static func wholeFrame(
    byteCount: Int, offload: FrameOffload, grantReference: GrantReference, offset: Int, identifier: UInt16
  ) -> NetifTransmitRequest {
    precondition(byteCount >= NetLimits.minimumFrameByteCount && offset >= 0 && offset <= NetLimits.pieceByteCount - byteCount, "a piece that ends outside its page")
    var request = NetifTransmitRequest()
    request.grantReference = grantReference
    request.offset = UInt16(offset)
    request.flags = offload.transmitFlags.rawValue
    request.identifier = identifier
    request.byteCount = UInt16(byteCount)
    return request
  }

  /// The slot with extra info `index`, after the first request.
  @inlinable public func extra(_ index: Int) -> NetifTransmitRequest {
    precondition(index >= 0 && index < extraCount, "an extra info that the frame does not have")
    if index == 0, let segmentation = NetifExtraInfo(segmentationOf: offload, followed: hash != nil) { return NetifTransmitRequest(segmentation) }
    guard let hash else { preconditionFailure("an extra info that the frame does not have") }
    return NetifTransmitRequest(NetifExtraInfo(hash, followed: false))
  }
}

extension FrameOffload {
  /// What the first request of a frame says about its checksum.
  @inlinable var transmitFlags: NetifTransmitFlags {
    var flags: NetifTransmitFlags = []
    if needsChecksum { flags.formUnion([.checksumBlank, .dataValidated]) }
    if isValidated { flags.insert(.dataValidated) }
    return flags
  }
}

// MARK: - Messages about the multicast filter

extension TransmitSlots {
  /// The first of the two slots that change the back-end's multicast filter: a request without a frame. No page needs to be granted.
  public static func multicastRequest(identifier: UInt16) -> NetifTransmitRequest {
    var request = NetifTransmitRequest()
    request.flags = NetifTransmitFlags.extraInfo.rawValue
    request.identifier = identifier
    return request
  }

  /// The second of them.
  public static func multicastExtra(adding address: MACAddress) -> NetifTransmitRequest {
    NetifTransmitRequest(NetifExtraInfo(.multicastAdd, address))
  }

  /// As ``multicastExtra(adding:)``.
  public static func multicastExtra(removing address: MACAddress) -> NetifTransmitRequest {
    NetifTransmitRequest(NetifExtraInfo(.multicastRemove, address))
  }
}
