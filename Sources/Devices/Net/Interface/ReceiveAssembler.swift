public import NetPackets
public import SharedMemory
public import XenInterface

/// A piece of a received frame.
@frozen public struct ReceivePiece: Sendable, Equatable {
  /// Which slot of the chain it is in, counted from 0: the page that was posted there has it.
  public var slot: Int
  /// Where it begins in the page, in bytes.
  public var offset: Int
  /// Its length in bytes. `offset + byteCount` is at most a page.
  public var byteCount: Int

  @inlinable public init(slot: Int, offset: Int, byteCount: Int) {
    self.slot = slot
    self.offset = offset
    self.byteCount = byteCount
  }
}

/// What is wrong with a received frame that is dropped (`xennet_get_responses`, drivers/net/xen-netfront.c). The back-end
/// can do nothing worse than that: each of its slots gives a page back.
public enum ReceiveRejection: Sendable, Equatable, CaseIterable {
  /// The back-end could not fill a page.
  case failed
  /// A piece that ends outside its page, or one that is shorter than the headroom it includes.
  case pieceOutsidePage
  /// More pieces than a frame can have.
  case pieceCount
  /// More bytes than a frame can have.
  case tooLarge
  /// Less than an Ethernet header.
  case tooShort
  /// An extra info that does not exist, or with contents that make no sense.
  case extraInfo
  /// A chain goes on where the ring ends: an extra info was to follow.
  case missingExtraInfo
  /// A chain goes on where the ring ends: more of the frame was to follow.
  case missingPiece
  /// The obsolete way to say how a frame is to be cut, which nobody asked for.
  case segmentationPrefix
}

/// Puts the responses of a receive ring together to frames, and checks every rule of their chains: the front-end's side.
///
/// It sees slots only as copies, one after the other. After ``add(_:)`` has reported anything but `.incomplete`, the properties
/// describe that chain until the next slot is added; each of its ``slotCount`` slots gives a page back to the front-end.
///
/// Belongs to one loop. Made once a queue; nothing is allocated afterwards.
public struct ReceiveAssembler: ~Copyable {
  /// What became of a slot.
  public enum Progress: Sendable, Equatable {
    /// The chain goes on.
    case incomplete
    /// The chain is a frame.
    case frame
    /// The chain is to be dropped.
    case rejected(ReceiveRejection)
  }

  @usableFromInline enum Phase: Sendable { case first, extraInfo, piece }

  @usableFromInline struct State {
    @usableFromInline var phase = Phase.first
    @usableFromInline var flags = NetifReceiveFlags()
    @usableFromInline var slotCount = 0
    @usableFromInline var extraCount = 0
    @usableFromInline var pieceCount = 0
    @usableFromInline var byteCount = 0
    @usableFromInline var extras = ExtraInfos()
    @usableFromInline var rejection: ReceiveRejection?
    @usableFromInline init() {}
  }

  @usableFromInline let state = FixedCell(State())
  @usableFromInline let pieces = FixedTable(repeating: ReceivePiece(slot: 0, offset: 0, byteCount: 0), count: NetLimits.pieceCount)

  public init() {}
}

// MARK: - Slots

extension NetifReceiveResponse {
  /// The piece of a slot that is a whole frame without extra infos, and breaks no rule; nil for every other. Between two frames such a slot
  /// need not go through ``ReceiveAssembler``, which would report a frame of this piece.
  @inlinable public var wholeFrame: ReceivePiece? {
    @inline(__always) get {
      let byteCount = Int(status)
      let offset = Int(self.offset)
      guard NetifReceiveFlags(rawValue: flags).isDisjoint(with: [.moreData, .extraInfo, .segmentationPrefix]),
        byteCount >= NetLimits.minimumFrameByteCount, offset + byteCount <= NetLimits.pieceByteCount
      else { return nil }
      return ReceivePiece(slot: 0, offset: offset, byteCount: byteCount)
    }
  }

  /// What its flags leave to be done with a frame that has no extra infos.
  @inlinable public var offload: FrameOffload {
    @inline(__always) get { FrameOffload(receiving: NetifReceiveFlags(rawValue: flags)) }
  }
}

extension FrameOffload {
  @inlinable @inline(__always) init(receiving flags: NetifReceiveFlags) {
    self.init()
    needsChecksum = flags.contains(.checksumBlank)
    isValidated = flags.contains(.dataValidated)
  }
}

extension ReceiveAssembler {
  /// Takes the copy of the next slot in.
  @inlinable @inline(__always) public func add(_ slot: NetifReceiveResponse) -> Progress {
    guard state.value.phase == .first else { return addFurther(slot) }
    let flags = NetifReceiveFlags(rawValue: slot.flags)
    state.value.flags = flags
    state.value.slotCount = 0
    state.value.pieceCount = 0
    state.value.byteCount = 0
    state.value.rejection = nil
    if state.value.extraCount > 0 {
      state.value.extraCount = 0
      state.value.extras = ExtraInfos()
    }
    addPiece(slot)
    if flags.isDisjoint(with: [.moreData, .extraInfo, .segmentationPrefix]) { return finish() }
    if flags.contains(.segmentationPrefix) { reject(.segmentationPrefix) }
    return goOn(flags.contains(.extraInfo) ? .extraInfo : .piece, flags)
  }

  /// There are no more slots now. Returns what is wrong when a chain was to go on: the properties describe what there is of it,
  /// and the next slot begins a new one. Back-ends publish whole frames.
  @inlinable public func endOfResponses() -> ReceiveRejection? {
    switch state.value.phase {
    case .first: return nil
    case .extraInfo: reject(.missingExtraInfo)
    case .piece: reject(.missingPiece)
    }
    state.value.phase = .first
    return state.value.rejection
  }

  /// Whether the next slot is the first of a chain.
  @inlinable public var isBetweenFrames: Bool { state.value.phase == .first }

  @usableFromInline func addFurther(_ slot: NetifReceiveResponse) -> Progress {
    if state.value.phase == .extraInfo {
      let extra = NetifExtraInfo(slot: slot)
      state.value.slotCount += 1
      state.value.extraCount += 1
      do throws(ExtraInfos.Fault) {
        _ = try state.value.extras.add(extra)
      } catch {
        reject(.extraInfo)
      }
      // Also behind one that is wrong, its flags say where the chain goes on.
      if NetifExtraFlags(rawValue: extra.flags).contains(.more) { return .incomplete }
      return goOn(.piece, state.value.flags)
    }
    addPiece(slot)
    return goOn(.piece, NetifReceiveFlags(rawValue: slot.flags))
  }

  /// - Parameter flags: of the last piece.
  @usableFromInline func goOn(_ phase: Phase, _ flags: NetifReceiveFlags) -> Progress {
    if phase == .piece && !flags.contains(.moreData) { return finish() }
    state.value.phase = phase
    return .incomplete
  }

  @inlinable @inline(__always) func addPiece(_ slot: NetifReceiveResponse) {
    let piece = ReceivePiece(slot: state.value.slotCount, offset: Int(slot.offset), byteCount: Int(slot.status))
    state.value.slotCount += 1
    if piece.byteCount < 0 { return reject(.failed) }
    if piece.offset + piece.byteCount > NetLimits.pieceByteCount { return reject(.pieceOutsidePage) }
    if state.value.pieceCount == NetLimits.pieceCount { return reject(.pieceCount) }
    pieces[state.value.pieceCount] = piece
    state.value.pieceCount += 1
    state.value.byteCount += piece.byteCount
  }

  /// The chain is complete: is it a frame?
  @inlinable @inline(__always) func finish() -> Progress {
    state.value.phase = .first
    if state.value.pieceCount > 1 || state.value.extraCount > 0 { settlePieces() }
    if state.value.byteCount < NetLimits.minimumFrameByteCount { reject(.tooShort) }
    if let rejection = state.value.rejection { return .rejected(rejection) }
    return .frame
  }

  /// Takes the headroom out of the pieces, and those out that have no bytes.
  @usableFromInline func settlePieces() {
    var count = 0
    var byteCount = 0
    let headroom = state.value.extras.headroomByteCount ?? 0
    for index in 0..<state.value.pieceCount {
      var piece = pieces[index]
      // Linux's back-end says where the data begins in the extra info only, and includes the room before it in the length.
      if headroom > 0 && piece.offset == 0 {
        if piece.byteCount < headroom { reject(.pieceOutsidePage) }
        piece.offset = min(headroom, piece.byteCount)
        piece.byteCount -= piece.offset
      }
      if piece.byteCount == 0 { continue }
      pieces[count] = piece
      count += 1
      byteCount += piece.byteCount
    }
    state.value.pieceCount = count
    state.value.byteCount = byteCount
    if byteCount > NetLimits.frameByteCount { reject(.tooLarge) }
  }

  /// Remembers the first thing that is wrong. The chain is still followed to its end, which is where the next frame begins.
  @usableFromInline func reject(_ rejection: ReceiveRejection) {
    if state.value.rejection == nil { state.value.rejection = rejection }
  }
}

// MARK: - The chain

extension ReceiveAssembler {
  /// Bytes of the frame, the sum of its pieces.
  @inlinable public var byteCount: Int { state.value.byteCount }

  /// Pieces with bytes in them, 1 to ``NetLimits/pieceCount`` in a frame.
  @inlinable public var pieceCount: Int { state.value.pieceCount }

  /// Piece `index` of the frame, which is not empty and within its page. Only of a frame.
  @inlinable public func piece(_ index: Int) -> ReceivePiece {
    precondition(index >= 0 && index < state.value.pieceCount, "a piece that the frame does not have")
    return pieces[index]
  }

  /// Slots that the chain took, those with extra infos included: as many pages come back.
  @inlinable public var slotCount: Int { state.value.slotCount }

  /// What the extra infos say; empty when there are none.
  @inlinable public var extras: ExtraInfos { state.value.extras }

  /// What the back-end left to be done. Where the checksummed part begins is not known from the slots.
  @inlinable public var offload: FrameOffload {
    var offload = FrameOffload(receiving: state.value.flags)
    if state.value.extraCount > 0, state.value.extras.segmentation != .none {
      offload.segmentation = state.value.extras.segmentation
      offload.segmentByteCount = state.value.extras.segmentByteCount
      offload.needsChecksum = true
    }
    return offload
  }

  /// The frame is to be cut but says that its checksum is complete; see ``TransmitAssembler/needsPseudoHeaderSum``.
  @inlinable public var needsPseudoHeaderSum: Bool {
    state.value.extraCount > 0 && state.value.extras.segmentation != .none && !state.value.flags.contains(.checksumBlank)
  }
}
