public import SharedRing
import XenInterface

/// What a front-end asks for and how long it waits.
public struct BlockFrontConfiguration: Sendable {
  /// Queues to use at most, 1 to 16; the back-end may allow fewer.
  public var queueCount = 1
  /// Log2 of the pages of each ring, at most, 0 to 4; the back-end may allow less. 2 is 128 requests a queue.
  public var ringPageOrder = 2
  /// Segments of one request at most; the back-end may allow fewer. 256 is 1 MiB.
  public var maximumSegmentCount = 256
  /// Keep grants between requests when the back-end can.
  public var usesPersistentGrants = true
  /// Memory for data in flight, in bytes: what cannot get any waits.
  public var bufferByteCount = 32 << 20
  /// How the loop waits for responses.
  public var polling = PollingPolicy.standard
  /// How long an operation waits for a back-end to come (back), in nanoseconds, before it fails.
  public var reconnectTimeoutNanoseconds: UInt64 = 30_000_000_000

  public init() {}

  /// Data pages of a connection.
  var dataPageCount: Int { (bufferByteCount + pageByteCount - 1) / pageByteCount }
}
