/// Bytes that wire records are copied out of, one aligned word at a time.
///
/// Memory that a peer can write conforms with loads that the optimiser can neither repeat nor split, so that a record copied
/// through this protocol is a snapshot: what is validated is what is used.
public protocol WireSource: ~Copyable {
  /// The little-endian 64-bit word at `offset` bytes, read once.
  func loadWord64(at offset: Int) -> UInt64

  /// The little-endian 32-bit word at `offset` bytes, read once.
  func loadWord32(at offset: Int) -> UInt32
}

/// Bytes that wire records are stored in, one aligned word at a time.
public protocol WireSink: ~Copyable {
  /// Stores `word` in little-endian order at `offset` bytes, once.
  func storeWord64(_ word: UInt64, at offset: Int)

  /// Stores `word` in little-endian order at `offset` bytes, once.
  func storeWord32(_ word: UInt32, at offset: Int)
}

/// One message of a wire protocol: a private copy of its bytes, held as words, with its fields as properties.
///
/// Every conforming type is generated from `Protocols/`. A record is never a view: it does not change when the memory it was
/// copied from does. Bytes that the protocol does not define are zero unless they were copied from a peer.
public protocol WireRecord: BitwiseCopyable, Equatable, Sendable {
  /// Size on the wire.
  static var byteCount: Int { get }

  /// A record of zero bytes.
  init()

  /// Copies the record at `offset` bytes: every word of it is loaded exactly once, in ascending order.
  ///
  /// - Precondition: `offset` and `byteCount` lie within the source, at a multiple of the record's word size.
  init<Source: WireSource & ~Copyable>(copying source: borrowing Source, at offset: Int)

  /// Stores every word of the record exactly once, in ascending order, undefined bytes included.
  func store<Sink: WireSink & ~Copyable>(to sink: borrowing Sink, at offset: Int)
}
