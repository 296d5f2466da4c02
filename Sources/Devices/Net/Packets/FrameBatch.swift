public import SharedMemory

/// What became of a frame that was handed on.
@frozen public enum FrameOutcome: UInt8, Sendable {
  /// The receiver has what it needs of it: the frame may be used again.
  case done
  /// The frame must stay as it is until the receiver says that it is done with it.
  case pending
  /// Not passed on; counted by whoever did not. The frame may be used again.
  case dropped
}

/// Frames of one sender that are handed on together, in order, and what becomes of each: one call for all of them.
///
/// Made once, with all the frames that can ever be in it, and filled again for each batch. Frames are lent to closures: taken out, each would
/// be retained and released. Belongs to one loop.
public final class FrameBatch {
  /// Frames of a batch at most.
  @inlinable public static var capacity: Int { 32 }

  /// All frames that can be in a batch.
  public let frames: FixedObjects<Frame>
  @usableFromInline let places = FixedTable(repeating: Int32(0), count: FrameBatch.capacity)
  @usableFromInline let outcomes = FixedTable(repeating: FrameOutcome.done, count: FrameBatch.capacity)
  @usableFromInline let state = FixedCell(State())

  @usableFromInline struct State {
    @usableFromInline var count = 0
    @usableFromInline var isMixed = false
    @usableFromInline init() {}
  }

  /// An empty batch.
  public init(of frames: consuming FixedObjects<Frame>) { self.frames = frames }

  /// Frames in the batch.
  @inlinable public var count: Int { @inline(__always) get { state.value.count } }

  /// Begins a batch of `count` frames, which `place` names by their places in ``frames``; each is `done` until something else is said of it.
  @inlinable @inline(__always) public func fill(_ count: Int, _ place: (Int) -> Int32) {
    precondition(count >= 0 && count <= Self.capacity, "more frames than a batch has room for")
    for index in 0..<count { places[index] = place(index) }
    state.value.count = count
    if state.value.isMixed {
      state.value.isMixed = false
      for index in 0..<Self.capacity { outcomes[index] = .done }
    }
  }

  /// Lends frame `index` of the batch to `body`.
  @inlinable @inline(__always) public func withFrame<Result>(_ index: Int, _ body: (Frame) -> Result) -> Result {
    precondition(index < state.value.count, "a frame that the batch does not have")
    return frames.withObject(Int(places[index]), body)
  }

  /// Where in ``frames`` frame `index` of the batch is.
  @inlinable @inline(__always) public func place(_ index: Int) -> Int { Int(places[index]) }

  /// What became of frame `index`.
  @inlinable public func outcome(_ index: Int) -> FrameOutcome { outcomes[index] }

  /// Says what became of frame `index`.
  @inlinable @inline(__always) public func setOutcome(_ outcome: FrameOutcome, of index: Int) {
    if outcome == .done, !state.value.isMixed { return }
    outcomes[index] = outcome
    state.value.isMixed = true
  }

  /// Whether anything but `done` was said of a frame.
  @inlinable public var isMixed: Bool { @inline(__always) get { state.value.isMixed } }
}
