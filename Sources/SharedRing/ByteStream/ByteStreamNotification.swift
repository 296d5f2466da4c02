public import SharedMemory

/// When an end of a byte stream signals its peer: after everything it does, or only when the peer has asked for it.
///
/// The second is vchan's way (xen/include/public/io/libxenvchan.h, `cli_notify` and `srv_notify`): before it sleeps, an end sets a bit in
/// a byte of the page for what it waits for; the other end takes the bit away and signals once.
public struct ByteStreamNotification: Sendable {
  /// What an end does that its peer may be waiting for.
  public struct Deed: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// It put bytes in (`VCHAN_NOTIFY_WRITE`).
    public static let written = Deed(rawValue: 1)
    /// It took bytes out (`VCHAN_NOTIFY_READ`).
    public static let taken = Deed(rawValue: 2)
  }

  @usableFromInline struct Bytes: Sendable {
    @usableFromInline let memory: SharedBytes
    /// What the peer wants to hear of us: we take the bits away.
    @usableFromInline let wantedOfUs: Int
    /// What we want to hear of the peer: we set the bits.
    @usableFromInline let wantedOfPeer: Int
  }
  @usableFromInline let bytes: Bytes?

  /// A signal for everything: console and 9pfs.
  public static let always = ByteStreamNotification(bytes: nil)

  /// A signal on request.
  /// - Parameters:
  ///   - wantedOfUs: offset in `memory` of the byte that says what the peer wants to hear of us.
  ///   - wantedOfPeer: offset of the byte that says what we want to hear of the peer.
  public static func onRequest(_ memory: SharedBytes, wantedOfUs: Int, wantedOfPeer: Int) -> ByteStreamNotification {
    ByteStreamNotification(bytes: Bytes(memory: memory, wantedOfUs: wantedOfUs, wantedOfPeer: wantedOfPeer))
  }

  /// Whether the peer has to be signalled after `deed`, whose index has been published. Takes the peer's request away.
  @inlinable public func mustSignal(_ deed: Deed) -> Bool {
    guard let bytes else { return true }
    // Pairs with the fence in `request`: publishing has fenced, so either the peer's next look sees our index, or we see its bit.
    return bytes.memory.fetchAnd8(~deed.rawValue, at: bytes.wantedOfUs) & deed.rawValue != 0
  }

  /// Asks the peer to signal `deeds`. The caller looks at the indices again afterwards, and only then sleeps.
  @inlinable public func request(_ deeds: Deed) {
    guard let bytes, !deeds.isEmpty else { return }
    // Sequentially consistent: the request is visible before the indices are looked at again.
    bytes.memory.fetchOr8(deeds.rawValue, at: bytes.wantedOfPeer)
  }
}
