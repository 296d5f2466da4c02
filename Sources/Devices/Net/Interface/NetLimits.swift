/// Sizes that both ends of a network device keep to. What the wire format itself limits is in `NetifLimits`.
public enum NetLimits: Sendable {
  /// Most queues of one device; a back-end offers at most this many (`multi-queue-max-queues`).
  @inlinable public static var queueCount: Int { 16 }

  /// Largest frame in bytes, with its Ethernet header (`netif_tx_request.size` is 16 bits).
  @inlinable public static var frameByteCount: Int { 65535 }

  /// Smallest frame that is taken in bytes: an Ethernet header (`ETH_HLEN`, Linux).
  @inlinable public static var minimumFrameByteCount: Int { 14 }
}
