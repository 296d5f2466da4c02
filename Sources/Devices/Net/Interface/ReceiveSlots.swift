public import NetPackets
public import XenInterface

/// The slots of a receive ring that one frame takes: the back-end's side. In order: the first piece, the extra infos, the
/// other pieces. A slot with an extra info uses up a page that the front-end has posted, too, and leaves it as it is.
@frozen public struct ReceiveSlots: Sendable {
  /// Bytes of the frame.
  public let byteCount: Int
  /// Where the data begins in each page, in bytes: what the front-end wants as headroom.
  public let offset: Int
  /// Pages that the frame takes, at least 1.
  public let pieceCount: Int
  @usableFromInline let offload: FrameOffload
  @usableFromInline let hash: FrameHash?

  /// Nil when the frame takes more pages than every front-end accepts, or has no bytes.
  ///
  /// - Parameter headroomByteCount: at most ``NetLimits/headroomByteCount``.
  @inlinable public init?(byteCount: Int, offload: FrameOffload = FrameOffload(), hash: FrameHash? = nil, headroomByteCount: Int = 0) {
    precondition(headroomByteCount >= 0 && headroomByteCount <= NetLimits.headroomByteCount, "headroom of \(headroomByteCount) bytes")
    let room = NetLimits.pieceByteCount - headroomByteCount
    guard byteCount > 0, byteCount <= NetLimits.frameByteCount else { return nil }
    let pieceCount = (byteCount + room - 1) / room
    guard pieceCount <= NetifLimits.fragmentsPerFrame else { return nil }
    self.byteCount = byteCount
    self.offset = headroomByteCount
    self.pieceCount = pieceCount
    self.offload = offload
    self.hash = hash
  }

  /// Slots with extra infos. Headroom is one of them, so that the front-end knows it was left (Linux forgets to count it).
  @inlinable public var extraCount: Int {
    (offload.segmentation == .none ? 0 : 1) + (hash == nil ? 0 : 1) + (offset == 0 ? 0 : 1)
  }

  /// Slots that the frame takes.
  @inlinable public var count: Int { pieceCount + extraCount }

  /// The piece in slot `index` of the frame; nil when it holds an extra info (``extra(_:)`` of `index - 1`).
  @inlinable public func piece(inSlot index: Int) -> Int? {
    if index == 0 { return 0 }
    return index > extraCount ? index - extraCount : nil
  }

  /// Where piece `index` begins in the frame.
  @inlinable public func start(ofPiece index: Int) -> Int { index * (NetLimits.pieceByteCount - offset) }

  /// Bytes of piece `index`.
  @inlinable public func byteCount(ofPiece index: Int) -> Int {
    precondition(index >= 0 && index < pieceCount, "a piece that the frame does not have")
    return min(NetLimits.pieceByteCount - offset, byteCount - start(ofPiece: index))
  }

  /// The response for piece `index`, in the slot of request `identifier`.
  @inlinable public func response(_ index: Int, identifier: UInt16) -> NetifReceiveResponse {
    var flags: NetifReceiveFlags = index + 1 < pieceCount ? .moreData : []
    if index == 0 {
      flags.formUnion(offload.receiveFlags)
      if extraCount > 0 { flags.insert(.extraInfo) }
    }
    var response = NetifReceiveResponse()
    response.identifier = identifier
    response.offset = UInt16(offset)
    response.flags = flags.rawValue
    response.status = Int16(byteCount(ofPiece: index))
    return response
  }

  /// The slot with extra info `index`, after the first response. In the order of their types, as Linux puts them.
  @inlinable public func extra(_ index: Int) -> NetifReceiveResponse {
    precondition(index >= 0 && index < extraCount, "an extra info that the frame does not have")
    var position = index
    if let segmentation = NetifExtraInfo(segmentationOf: offload, followed: hash != nil || offset > 0) {
      if position == 0 { return NetifReceiveResponse(segmentation) }
      position -= 1
    }
    if let hash, position == 0 { return NetifReceiveResponse(NetifExtraInfo(hash, followed: offset > 0)) }
    return NetifReceiveResponse(NetifExtraInfo(headroomByteCount: offset))
  }
}

// MARK: - Frames of one slot

extension ReceiveSlots {
  /// Frames up to this size need not begin where their page does.
  @inlinable public static var spreadByteCount: Int { NetLimits.pieceByteCount / 2 }

  /// Where such a frame begins in the page of `reference`, in bytes: not at the same place in every page, because a cache keeps only a few
  /// lines whose addresses are a multiple of a page apart.
  @inlinable public static func spreadOffset(of reference: GrantReference) -> Int {
    Int(reference.rawValue % UInt32(spreadByteCount / 64)) * 64
  }

  /// The response for a frame that takes one slot, without extra infos.
  @inlinable public static func wholeFrame(byteCount: Int, offload: FrameOffload, offset: Int, identifier: UInt16) -> NetifReceiveResponse {
    var response = NetifReceiveResponse()
    response.identifier = identifier
    response.offset = UInt16(offset)
    response.flags = offload.receiveFlags.rawValue
    response.status = Int16(byteCount)
    return response
  }
}

extension FrameOffload {
  /// What the first response of a frame says about its checksum.
  @inlinable var receiveFlags: NetifReceiveFlags {
    var flags: NetifReceiveFlags = []
    if needsChecksum { flags.formUnion([.checksumBlank, .dataValidated]) }
    if isValidated { flags.insert(.dataValidated) }
    return flags
  }
}
