import SharedMemory

/// Where the last frames with the same Ethernet header from one port went: what was found out for the first of them holds for the others, as
/// long as the switch knows nothing new.
struct KnownFlows: ~Copyable {
  /// Not private, because Swift 6.3 emits a module that does not verify when it is.
  struct Entry {
    var first: UInt64 = 0
    var second: UInt64 = 0
    /// Of the switch; 0: nothing is known.
    var epoch: UInt64 = 0
    var target = 0
  }

  private static let capacity = 8
  private let entries = FixedTable(repeating: Entry(), count: KnownFlows.capacity)

  /// Addresses and type, without what comes behind them in the second word.
  private static let headerMask = UInt64(0x0000_ffff_ffff_ffff).littleEndian

  /// The port that a frame with this header goes to; nil when that is not known.
  @inline(__always) func target(of header: (UInt64, UInt64), epoch: UInt64) -> Int? {
    let place = Self.place(header)
    guard entries[place].first == header.0, entries[place].second == header.1 & Self.headerMask, entries[place].epoch == epoch else { return nil }
    return entries[place].target
  }

  /// Whether two headers are the same, as far as a flow is concerned.
  @inline(__always) static func isSame(_ one: (UInt64, UInt64), _ other: (UInt64, UInt64)) -> Bool {
    (one.0 ^ other.0) | ((one.1 ^ other.1) & headerMask) == 0
  }

  func remember(_ target: Int, of header: (UInt64, UInt64), epoch: UInt64) {
    entries[Self.place(header)] = Entry(first: header.0, second: header.1 & Self.headerMask, epoch: epoch, target: target)
  }

  /// By the last byte of the receiver's address.
  @inline(__always) private static func place(_ header: (UInt64, UInt64)) -> Int {
    Int(truncatingIfNeeded: header.0.littleEndian >> 40) & (capacity - 1)
  }
}
