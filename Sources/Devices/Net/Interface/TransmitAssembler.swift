public import NetPackets
public import SharedMemory
public import XenInterface

/// A piece of a frame to send, as the slots of a transmit ring name it.
@frozen public struct TransmitPiece: Sendable, Equatable {
  public var grantReference: GrantReference
  /// Where it begins in the page, in bytes.
  public var offset: Int
  /// Its length in bytes. `offset + byteCount` is at most a page.
  public var byteCount: Int

  @inlinable public init(grantReference: GrantReference, offset: Int, byteCount: Int) {
    self.grantReference = grantReference
    self.offset = offset
    self.byteCount = byteCount
  }
}

/// Puts the slots of a transmit ring together to frames, and checks every rule of their chains: the back-end's side.
///
/// It sees slots only as copies, one after the other, and touches neither the ring nor granted memory. After ``add(_:)`` has
/// reported anything but `.incomplete`, the properties describe that chain until the next slot is added. Each slot that was
/// added is accounted for in exactly one chain: ``slotCount``, which is ``identifierCount`` and ``extraCount``.
///
/// ```swift
/// while let slot = try ring.takeRequest() {
///   switch try assembler.add(slot) {
///   case .incomplete: continue
///   case .frame: send(assembler)
///   case .multicastChange: change(assembler.extras); ring.putResponses(to: assembler.answer, status: .okay)
///   case .rejected: ring.putResponses(to: assembler.answer, status: .error)
///   }
/// }
/// try assembler.endOfRequests()
/// ```
///
/// Belongs to one loop. Made once a queue; nothing is allocated afterwards.
public struct TransmitAssembler: ~Copyable {
  /// What became of a slot.
  public enum Progress: Sendable, Equatable {
    /// The chain goes on.
    case incomplete
    /// The chain is a frame to send.
    case frame
    /// The chain is a message about the multicast filter (``extras``), not a frame.
    case multicastChange
    /// The chain is not to be sent: all its requests get `error`.
    case rejected(TransmitRejection)
  }

  @usableFromInline enum Phase: Sendable { case first, extraInfo, fragment, failed }

  @usableFromInline struct State {
    @usableFromInline var phase = Phase.first
    @usableFromInline var first = NetifTransmitRequest()
    /// What is left of the frame's size after the fragments so far.
    @usableFromInline var remaining = 0
    /// Pieces `firstPiece..<endOfPieces` have bytes in them.
    @usableFromInline var firstPiece = 0
    @usableFromInline var endOfPieces = 0
    @usableFromInline var identifierCount = 0
    @usableFromInline var extraCount = 0
    @usableFromInline var extras = ExtraInfos()
    @usableFromInline var rejection: TransmitRejection?
    @usableFromInline var fault: TransmitFault?
    @usableFromInline init() {}
  }

  @usableFromInline let state = FixedCell(State())
  @usableFromInline let pieces = FixedTable(
    repeating: TransmitPiece(grantReference: GrantReference(rawValue: 0), offset: 0, byteCount: 0), count: NetLimits.pieceCount)
  /// One for each request of a chain, of a rejected one too.
  @usableFromInline let identifiers = FixedTable(repeating: UInt16(0), count: NetifLimits.toleratedFragmentsPerFrame + 1)

  public init() {}
}

// MARK: - Slots

extension NetifTransmitRequest {
  /// The piece of a slot that is a whole frame without extra infos, and breaks no rule; nil for every other. Between two frames such a slot
  /// need not go through ``TransmitAssembler``, which would report a frame of this piece.
  @inlinable public var wholeFrame: TransmitPiece? {
    @inline(__always) get {
      let byteCount = Int(self.byteCount)
      let offset = Int(self.offset)
      guard NetifTransmitFlags(rawValue: flags).isDisjoint(with: [.moreData, .extraInfo]), byteCount >= NetLimits.minimumFrameByteCount,
        offset + byteCount <= NetLimits.pieceByteCount
      else { return nil }
      return TransmitPiece(grantReference: grantReference, offset: offset, byteCount: byteCount)
    }
  }

  /// What its flags leave to be done with a frame that has no extra infos.
  @inlinable public var offload: FrameOffload {
    @inline(__always) get {
      let flags = NetifTransmitFlags(rawValue: self.flags)
      var offload = FrameOffload()
      offload.needsChecksum = flags.contains(.checksumBlank)
      offload.isValidated = flags.contains(.dataValidated)
      return offload
    }
  }
}

extension TransmitAssembler {
  /// Takes the copy of the next slot in. Throws when no honest front-end could have sent it, now and on every later call.
  @inlinable @inline(__always) public func add(_ slot: NetifTransmitRequest) throws(TransmitFault) -> Progress {
    guard state.value.phase == .first else { return try addFurther(slot) }
    state.value.first = slot
    state.value.remaining = Int(slot.byteCount)
    state.value.firstPiece = 0
    state.value.endOfPieces = 1
    state.value.identifierCount = 1
    identifiers[0] = slot.identifier
    if state.value.extraCount > 0 {
      state.value.extraCount = 0
      state.value.extras = ExtraInfos()
    }
    let flags = NetifTransmitFlags(rawValue: slot.flags)
    if flags.isDisjoint(with: [.moreData, .extraInfo]) { return try finish() }
    state.value.rejection = nil
    state.value.phase = flags.contains(.extraInfo) ? .extraInfo : .fragment
    return .incomplete
  }

  /// There are no more slots now. Throws when a chain was to go on: requests are published by whole frames.
  @inlinable public func endOfRequests() throws(TransmitFault) {
    switch state.value.phase {
    case .first: return
    case .extraInfo: throw fail(.missingExtraInfo)
    case .fragment: throw fail(.missingFragment)
    case .failed: throw fail(.missingFragment)
    }
  }

  /// Whether the next slot is the first of a chain.
  @inlinable public var isBetweenFrames: Bool { state.value.phase == .first }

  @usableFromInline func addFurther(_ slot: NetifTransmitRequest) throws(TransmitFault) -> Progress {
    switch state.value.phase {
    case .first, .failed: throw fail(.missingFragment)
    case .extraInfo: return try addExtraInfo(NetifExtraInfo(slot: slot))
    case .fragment: return try addFragment(slot)
    }
  }

  private func addExtraInfo(_ extra: NetifExtraInfo) throws(TransmitFault) -> Progress {
    state.value.extraCount += 1
    let isFollowed: Bool
    do throws(ExtraInfos.Fault) {
      isFollowed = try state.value.extras.add(extra)
    } catch {
      throw fail(.extraInfo(error))
    }
    if isFollowed { return .incomplete }
    guard NetifTransmitFlags(rawValue: state.value.first.flags).contains(.moreData) else { return try finish() }
    state.value.phase = .fragment
    return .incomplete
  }

  private func addFragment(_ slot: NetifTransmitRequest) throws(TransmitFault) -> Progress {
    let position = state.value.identifierCount
    guard position <= NetifLimits.toleratedFragmentsPerFrame else { throw fail(.fragmentCount) }
    identifiers[position] = slot.identifier
    state.value.identifierCount = position + 1
    let piece = TransmitPiece(grantReference: slot.grantReference, offset: Int(slot.offset), byteCount: Int(slot.byteCount))
    try check(piece)
    // The first mistake counts. The chain is still followed to its end, which is where the next frame begins.
    if state.value.rejection == nil {
      if position > NetifLimits.fragmentsPerFrame {
        state.value.rejection = .fragmentCount
      } else if piece.byteCount > state.value.remaining {
        state.value.rejection = .fragmentExceedsFrame
      } else if piece.byteCount > 0 {
        state.value.remaining -= piece.byteCount
        pieces[state.value.endOfPieces] = piece
        state.value.endOfPieces += 1
      }
    }
    return NetifTransmitFlags(rawValue: slot.flags).contains(.moreData) ? .incomplete : try finish()
  }

  /// The chain is complete: what is it?
  @inlinable func finish() throws(TransmitFault) -> Progress {
    if state.value.identifierCount > 1, let rejection = state.value.rejection {
      state.value.phase = .first
      return .rejected(rejection)
    }
    if state.value.extraCount > 0, state.value.extras.isMulticastChange {
      state.value.phase = .first
      return .multicastChange
    }
    let first = state.value.first
    guard Int(first.byteCount) >= NetLimits.minimumFrameByteCount else {
      state.value.phase = .first
      return .rejected(.tooShort)
    }
    let piece = TransmitPiece(grantReference: first.grantReference, offset: Int(first.offset), byteCount: state.value.remaining)
    try check(piece)
    pieces[0] = piece
    // A fragment may take all of the frame, so that nothing is left for the first piece (XSA-448 is about such pieces).
    if piece.byteCount == 0 { state.value.firstPiece = 1 }
    state.value.phase = .first
    return .frame
  }

  @inlinable @inline(__always) func check(_ piece: TransmitPiece) throws(TransmitFault) {
    if piece.offset + piece.byteCount > NetLimits.pieceByteCount {
      throw fail(.pieceOutsidePage(piece.grantReference, offset: piece.offset, byteCount: piece.byteCount))
    }
  }

  /// Remembers the first fault.
  @usableFromInline func fail(_ fault: TransmitFault) -> TransmitFault {
    let first = state.value.fault ?? fault
    state.value.fault = first
    state.value.phase = .failed
    return first
  }
}

// MARK: - The chain

extension TransmitAssembler {
  /// Bytes of the frame, at least an Ethernet header; the sum of its pieces.
  @inlinable public var byteCount: Int { Int(state.value.first.byteCount) }

  /// Pieces with bytes in them, 1 to ``NetLimits/pieceCount`` in a frame.
  @inlinable public var pieceCount: Int { state.value.endOfPieces - state.value.firstPiece }

  /// Piece `index` of the frame, which is not empty and within its page. Only of a frame.
  @inlinable public func piece(_ index: Int) -> TransmitPiece {
    precondition(index >= 0 && index < pieceCount, "a piece that the frame does not have")
    return pieces[state.value.firstPiece + index]
  }

  /// What the front-end left to be done. Where the checksummed part begins is not known from the slots.
  @inlinable public var offload: FrameOffload {
    var offload = state.value.first.offload
    if state.value.extraCount > 0, state.value.extras.segmentation != .none {
      offload.segmentation = state.value.extras.segmentation
      offload.segmentByteCount = state.value.extras.segmentByteCount
      offload.needsChecksum = true
    }
    return offload
  }

  /// The frame is to be cut but says that its checksum is complete, as old front-ends do: the sum of the pseudo header has to be put
  /// in its place before it is cut (`checksum_setup`, drivers/net/xen-netback/netback.c).
  @inlinable public var needsPseudoHeaderSum: Bool {
    state.value.extraCount > 0 && state.value.extras.segmentation != .none
      && !NetifTransmitFlags(rawValue: state.value.first.flags).contains(.checksumBlank)
  }

  /// What the extra infos say; empty when there are none.
  @inlinable public var extras: ExtraInfos { state.value.extras }

  /// Slots of the chain that hold extra infos: each gets a response with status `null`.
  @inlinable public var extraCount: Int { state.value.extraCount }

  /// Slots of the chain that hold requests, those of no bytes included: each gets a response.
  @inlinable public var identifierCount: Int { state.value.identifierCount }

  /// The identifier of request `index` of the chain.
  @inlinable public func identifier(_ index: Int) -> UInt16 {
    precondition(index >= 0 && index < state.value.identifierCount, "a request that the chain does not have")
    return identifiers[index]
  }

  /// Slots that the chain took.
  @inlinable public var slotCount: Int { state.value.identifierCount + state.value.extraCount }
}
