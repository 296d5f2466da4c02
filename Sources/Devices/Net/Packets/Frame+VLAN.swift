import SharedMemory

extension Frame {
  /// Whether its type says that an 802.1Q tag follows. The head holds an Ethernet header.
  public var isTagged: Bool { head.load16(at: 12).bigEndian == EtherType.vlan }

  /// The VLAN of an 802.1Q tag, 1 to 4094; nil without one, or with one that only says a priority.
  public var vlanTag: UInt16? {
    guard headByteCount >= 18, isTagged else { return nil }
    let number = head.load16(at: 14).bigEndian & 0xfff
    return number == 0 ? nil : number
  }

  /// Becomes `other` with a tag of VLAN `tag`, or without any: a head of its own, and the other's pieces.
  ///
  /// - Precondition: this frame's head has room for four bytes more than the other's.
  public func copy(_ other: Frame, tag: UInt16?) {
    precondition(other.headByteCount >= 14, "no Ethernet header")
    let hasTag = other.headByteCount >= 18 && other.head.bigEndian16(at: 12) == EtherType.vlan
    let from = hasTag ? 16 : 12
    let to = tag == nil ? 12 : 16
    let rest = other.headByteCount - from
    reset(headByteCount: to + rest)
    head.copy(from: other.head, sourceOffset: 0, to: 0, byteCount: 12)
    head.copy(from: other.head, sourceOffset: from, to: to, byteCount: rest)
    if let tag {
      head.storeBigEndian16(EtherType.vlan, at: 12)
      head.storeBigEndian16(tag, at: 14)
    }
    for index in 0..<other.pieceCount { append(other.piece(index)) }
    offload = other.offload
    if offload.checksumStart != 0 { offload.checksumStart = UInt16(Int(offload.checksumStart) + to - from) }
  }
}
