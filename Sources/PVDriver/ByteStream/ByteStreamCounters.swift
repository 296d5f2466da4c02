/// What one byte stream has moved, over all of its connections.
public struct ByteStreamCounters: Sendable, Equatable {
  /// Bytes taken out of the ring.
  public var takenByteCount: UInt64 = 0
  /// Bytes put into the ring.
  public var putByteCount: UInt64 = 0
  /// Bytes taken out that nobody took in time, and that are lost (consoles).
  public var discardedByteCount: UInt64 = 0
  /// Events that arrived.
  public var eventCount: UInt64 = 0
  /// Events for which the peer had done nothing.
  public var spuriousEventCount: UInt64 = 0
  /// Signals sent to the peer.
  public var signalCount: UInt64 = 0
  public var connectionCount: UInt64 = 0

  public init() {}

  public mutating func add(_ other: ByteStreamCounters) {
    takenByteCount &+= other.takenByteCount
    putByteCount &+= other.putByteCount
    discardedByteCount &+= other.discardedByteCount
    eventCount &+= other.eventCount
    spuriousEventCount &+= other.spuriousEventCount
    signalCount &+= other.signalCount
    connectionCount &+= other.connectionCount
  }
}
