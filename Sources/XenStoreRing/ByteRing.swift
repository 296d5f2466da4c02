import SharedMemory
import XenInterface

/// The peer's index cannot be: it is more than a ring's length away from ours, or behind it.
///
/// Nothing in the ring can be trusted after that, until both ends begin again.
public struct ByteRingFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// Free-running, as both were at that moment.
  public let producer: UInt32
  public let consumer: UInt32

  public var description: String { "a ring's producer \(producer) and consumer \(consumer) are not within 1024 bytes" }
}

/// Where a byte ring and its two indices lie in the page (`req`, `req_prod`, `req_cons`, and the same for `rsp`).
struct ByteRingPlace: Sendable {
  let page: SharedBytes
  let dataOffset: Int
  let producerOffset: Int
  let consumerOffset: Int

  static let byteCount = UInt32(XenStoreLimits.ringByteCount)

  /// The two stretches of the ring that `count` bytes from a free-running index on lie in; the second is empty unless they wrap.
  static func stretches(from index: UInt32, count: Int) -> (offset: Int, first: Int, second: Int) {
    let offset = Int(index & (byteCount - 1))
    let first = min(count, Int(byteCount) - offset)
    return (offset, first, count - first)
  }
}

/// The end of a byte ring that takes bytes out. One owner, one thread at a time.
///
/// Our own index is kept privately: what the peer writes over it in the page makes no difference here.
public struct ByteRingConsumer: Sendable {
  private let place: ByteRingPlace
  /// Free-running.
  private var consumer: UInt32

  /// Goes on at the index that the page shows.
  init(_ place: ByteRingPlace) {
    self.place = place
    consumer = place.page.load32(at: place.consumerOffset)
  }

  /// Whether there may be something to take: a look for the sake of scheduling, on which nothing else rests. After ``take(into:at:limit:)``
  /// it has to be asked, because a peer need not signal what it puts in while there is something left.
  public var mayHaveBytes: Bool { place.page.load32(at: place.producerOffset) != consumer }

  /// Takes at most `limit` of the bytes that the peer has produced and puts them into `buffer`, from its element `index` on. The
  /// caller signals the peer when the count returned is not zero.
  public mutating func take(into buffer: inout [UInt8], at index: Int = 0, limit: Int) throws(ByteRingFault) -> Int {
    // Pairs with the release in ByteRingProducer.put: the bytes up to this index are visible.
    let producer = place.page.loadAcquire32(at: place.producerOffset)
    let available = producer &- consumer
    guard available <= ByteRingPlace.byteCount else { throw ByteRingFault(producer: producer, consumer: consumer) }
    let count = min(Int(available), limit)
    guard count > 0 else { return 0 }
    let stretches = ByteRingPlace.stretches(from: consumer, count: count)
    place.page.copyOut(at: place.dataOffset + stretches.offset, byteCount: stretches.first, into: &buffer, at: index)
    place.page.copyOut(at: place.dataOffset, byteCount: stretches.second, into: &buffer, at: index + stretches.first)
    consumer &+= UInt32(count)
    // Pairs with the acquire in ByteRingProducer.put: our copies are done before the peer writes there again. The fence is for a peer
    // that signals only if it finds everything taken (Linux's xb_write): it sees this index, or the next look here sees its bytes.
    place.page.storeAndFence32(consumer, at: place.consumerOffset)
    return count
  }
}

/// The end of a byte ring that puts bytes in. One owner, one thread at a time.
public struct ByteRingProducer: Sendable {
  private let place: ByteRingPlace
  /// Free-running.
  private var producer: UInt32

  /// Goes on at the index that the page shows.
  init(_ place: ByteRingPlace) {
    self.place = place
    producer = place.page.load32(at: place.producerOffset)
  }

  /// Puts as many of `bytes`, from their element `index` on, as there is room for, and returns their number. The caller signals the
  /// peer when it is not zero.
  public mutating func put(_ bytes: [UInt8], from index: Int = 0) throws(ByteRingFault) -> Int {
    // Pairs with the release in ByteRingConsumer.take: the peer has copied what lies before this index.
    let consumer = place.page.loadAcquire32(at: place.consumerOffset)
    let used = producer &- consumer
    guard used <= ByteRingPlace.byteCount else { throw ByteRingFault(producer: producer, consumer: consumer) }
    let count = min(bytes.count - index, Int(ByteRingPlace.byteCount - used))
    guard count > 0 else { return 0 }
    let stretches = ByteRingPlace.stretches(from: producer, count: count)
    place.page.copyIn(bytes, from: index, byteCount: stretches.first, at: place.dataOffset + stretches.offset)
    place.page.copyIn(bytes, from: index + stretches.first, byteCount: stretches.second, at: place.dataOffset)
    producer &+= UInt32(count)
    // Pairs with the acquire in ByteRingConsumer.take: the bytes are visible once the index is. The fence is for a peer that signals
    // only if it finds the ring full (Linux's xb_read): it sees this index, or the next call here sees its room.
    place.page.storeAndFence32(producer, at: place.producerOffset)
    return count
  }
}
