public import SharedMemory

/// One Ethernet frame in pieces, on its way from a sender to its receivers: a head in private memory, and the rest where
/// the sender has it.
///
/// Whoever decides on a frame (its address, its headers) looks at the head, which nobody else can change any more; the rest
/// may be in memory that the peer still writes to, and is only copied or handed to the kernel. Frames are made once, in
/// fixed number, and used again: a path that passes frames allocates nothing. They belong to one loop.
public final class Frame {
  /// Bytes of a head at most: Ethernet, a VLAN tag, and the longest IPv6 and TCP headers that are looked at.
  @inlinable public static var headCapacity: Int { 256 }
  /// Pieces at most, apart from the head: what a netif packet can have (`XEN_NETIF_NR_SLOTS_MIN` and one).
  @inlinable public static var maximumPieceCount: Int { 19 }

  /// The sender's number for the frame.
  public let index: Int
  /// Private memory for the head; the first ``headByteCount`` bytes are in use.
  public let head: SharedBytes
  @usableFromInline let pieces = FixedTable(repeating: SharedVector(address: 0, byteCount: 0), count: Frame.maximumPieceCount)
  @usableFromInline let state = FixedCell(State())

  @usableFromInline struct State {
    @usableFromInline var headByteCount = 0
    @usableFromInline var pieceCount = 0
    @usableFromInline var byteCount = 0
    @usableFromInline var offload = FrameOffload()
    @usableFromInline var sender = 0
    @usableFromInline init() {}
  }

  /// - Parameter head: private memory of at least ``headCapacity`` bytes.
  public init(index: Int, head: SharedBytes) {
    precondition(head.byteCount >= Frame.headCapacity)
    self.index = index
    self.head = head
  }

  /// Bytes of the frame in ``head``.
  @inlinable public var headByteCount: Int { state.value.headByteCount }
  /// Pieces after the head.
  @inlinable public var pieceCount: Int { state.value.pieceCount }
  /// Bytes of the whole frame.
  @inlinable public var byteCount: Int { state.value.byteCount }
  public var offload: FrameOffload {
    @inlinable @inline(__always) _read { yield state.value.offload }
    @inlinable @inline(__always) _modify { yield &state.value.offload }
  }

  /// For whoever passes frames of several senders on: which one this came from. Not touched by ``reset(headByteCount:)``.
  public var sender: Int {
    @inlinable @inline(__always) _read { yield state.value.sender }
    @inlinable @inline(__always) _modify { yield &state.value.sender }
  }

  /// Piece `index` after the head.
  @inlinable public func piece(_ index: Int) -> SharedVector {
    precondition(index < state.value.pieceCount, "a piece that the frame does not have")
    return pieces[index]
  }

  /// Makes it an empty frame whose first `headByteCount` bytes are in ``head``.
  @inlinable public func reset(headByteCount: Int, offload: FrameOffload = FrameOffload()) {
    precondition(headByteCount >= 0 && headByteCount <= head.byteCount, "a head that does not fit")
    state.value.headByteCount = headByteCount
    state.value.byteCount = headByteCount
    state.value.pieceCount = 0
    state.value.offload = offload
  }

  /// Appends a piece. Empty pieces are left out (XSA-448).
  ///
  /// The memory must stay mapped until the receivers are done with the frame: it is read by address.
  @inlinable public func append(_ piece: SharedVector) {
    if piece.byteCount == 0 { return }
    precondition(state.value.pieceCount < Frame.maximumPieceCount, "more pieces than a frame has")
    pieces[state.value.pieceCount] = piece
    state.value.pieceCount += 1
    state.value.byteCount += piece.byteCount
  }
}
