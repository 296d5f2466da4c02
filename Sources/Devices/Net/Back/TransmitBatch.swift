import NetInterface
import NetPackets
import SharedMemory
import XenInterface
import XenPlatform

/// What is known of the frames that are taken from a transmit ring together, by their place in the batch: made once a queue.
struct TransmitBatch: ~Copyable {
  /// The requests, copied out: one a frame.
  let requests = FixedTable(repeating: NetifTransmitRequest(), count: FrameBatch.capacity)
  /// Small frames, which go into their heads entirely.
  let stretches = FixedTable(repeating: TransmitBatch.noStretch, count: FrameBatch.capacity)
  /// Frames to be fetched, and for nothing else: of the batch, and of requests behind it, as far as the front-end does not change them.
  let ahead = FixedTable(repeating: TransmitBatch.noStretch, count: FrameBatch.capacity)
  /// Where the pages of small ones are, if they are kept mapped.
  let addresses = FixedTable(repeating: UInt(0), count: FrameBatch.capacity)
  /// The pages of the larger ones …
  let references = FixedTable(repeating: GrantReference(rawValue: 0), count: FrameBatch.capacity)
  /// … mapped until the port is done with them.
  let pages = FixedTable(repeating: MappedPage(address: 0, arena: -1, page: 0, isWritable: false), count: FrameBatch.capacity)
  /// Requests that are not taken yet, and whose frames' first bytes are on their way.
  let fetchedCount = FixedCell(0)

  private static let noStretch = GrantStretch(grantReference: GrantReference(rawValue: 0), offset: 0, byteCount: 0, place: 0)
}
