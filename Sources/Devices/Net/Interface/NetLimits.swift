public import XenInterface

/// Sizes that both ends of a network device keep to. What the wire format itself limits is in `NetifLimits`.
public enum NetLimits: Sendable {
  /// Most queues of one device; a back-end offers at most this many (`multi-queue-max-queues`).
  @inlinable public static var queueCount: Int { 16 }

  /// Largest frame in bytes, with its Ethernet header (`netif_tx_request.size` is 16 bits).
  @inlinable public static var frameByteCount: Int { NetifLimits.frameByteCount }

  /// Smallest frame that is taken in bytes: an Ethernet header (`ETH_HLEN`, Linux).
  @inlinable public static var minimumFrameByteCount: Int { NetifLimits.minimumFrameByteCount }

  /// Most bytes of a piece: a page.
  @inlinable public static var pieceByteCount: Int { 4096 }

  /// Most pieces of a frame that is not empty: the first request and the fragments that every back-end takes.
  @inlinable public static var pieceCount: Int { NetifLimits.fragmentsPerFrame + 1 }

  /// Most bytes before received data in its page. The key may say up to 32767, which would leave no room in a page.
  @inlinable public static var headroomByteCount: Int { pieceByteCount / 2 }
}
