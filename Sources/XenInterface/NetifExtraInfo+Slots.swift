// An extra info takes the place of a transmit request or a receive response, and nothing in it says so: the slot before does.
// So the slot is copied as what it usually is, and the copy is taken for an extra info afterwards.

extension NetifExtraInfo {
  /// The extra info in a slot of a transmit ring, from the copy that was already taken of it: memory is not read again.
  @inlinable @inline(__always)
  public init(slot: NetifTransmitRequest) { self.init(words: [slot.words[0], slot.words[1]]) }

  /// The extra info in a slot of a receive ring, from the copy that was already taken of it: memory is not read again.
  @inlinable @inline(__always)
  public init(slot: NetifReceiveResponse) {
    self.init(words: [UInt32(truncatingIfNeeded: slot.words[0]), UInt32(truncatingIfNeeded: slot.words[0] &>> 32)])
  }
}

extension NetifTransmitRequest {
  /// A slot of a transmit ring that holds an extra info; its last four bytes are zero.
  @inlinable @inline(__always)
  public init(_ extra: NetifExtraInfo) { self.init(words: [extra.words[0], extra.words[1], 0]) }
}

extension NetifReceiveResponse {
  /// A slot of a receive ring that holds an extra info.
  @inlinable @inline(__always)
  public init(_ extra: NetifExtraInfo) { self.init(words: [UInt64(extra.words[0]) | UInt64(extra.words[1]) &<< 32]) }
}
