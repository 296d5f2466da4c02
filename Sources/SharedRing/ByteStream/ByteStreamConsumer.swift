public import SharedMemory

/// The end of a byte ring that takes bytes out. One owner, one thread at a time.
///
/// Our own index is kept privately: what the peer writes over it in shared memory makes no difference here. The peer's index is read
/// once for each operation, and checked.
///
/// Either ``take(into:at:limit:)`` copies out, or the kernel does: ``filled()`` says what there is, ``advance(by:)`` how much of it
/// has been used.
public struct ByteStreamConsumer: Sendable {
  @usableFromInline let place: ByteStreamPlace
  /// Free-running.
  @usableFromInline var consumer: UInt32
  /// The last producer's index that was seen and found possible.
  @usableFromInline var knownProducer: UInt32

  /// Goes on at the index that shared memory shows.
  public init(_ place: ByteStreamPlace) {
    self.place = place
    consumer = place.indices.load32(at: place.consumerOffset)
    knownProducer = consumer
  }

  /// Bytes that the ring holds when it is full.
  @inlinable public var capacity: Int { Int(place.byteCount) }

  /// Whether there may be something to take: a look for the sake of scheduling, on which nothing else rests. After a take it has to be
  /// asked, because a peer need not signal what it puts in while there is something left.
  @inlinable public var mayHaveBytes: Bool { place.indices.load32(at: place.producerOffset) != consumer }

  /// The peer's index as it stands, whatever it is: to see whether the peer has done anything.
  @inlinable public var peerIndex: UInt32 { place.indices.load32(at: place.producerOffset) }

  /// Bytes that the peer has put in and that were not taken yet.
  @inlinable public mutating func available() throws(ByteStreamFault) -> Int {
    // Pairs with the release in ByteStreamProducer.publish: the bytes up to this index are visible.
    let producer = place.indices.loadAcquire32(at: place.producerOffset)
    guard producer &- consumer <= place.byteCount else {
      throw ByteStreamFault(producer: producer, consumer: consumer, byteCount: place.byteCount)
    }
    knownProducer = producer
    return Int(producer &- consumer)
  }

  /// What there is, for the kernel to read from. It stays there until ``advance(by:)``; the peer can change its bytes, and nothing but
  /// passing them on may be done with them.
  @inlinable public mutating func filled() throws(ByteStreamFault) -> ByteStreamVectors {
    let count = try available()
    return place.vectors(from: consumer, count: count)
  }

  /// Gives `count` bytes of what ``filled()`` has said back to the peer, which can use their room from now on.
  @inlinable public mutating func advance(by count: Int) {
    precondition(count >= 0 && count <= Int(knownProducer &- consumer), "more bytes used than there were")
    publish(count)
  }

  /// Takes at most `limit` bytes and puts them into `buffer`, from its element `index` on. Returns how many; the caller tells the peer
  /// when there were any.
  public mutating func take(into buffer: inout [UInt8], at index: Int = 0, limit: Int) throws(ByteStreamFault) -> Int {
    let count = min(try available(), limit)
    guard count > 0 else { return 0 }
    let stretches = place.stretches(from: consumer, count: count)
    place.data.copyOut(at: stretches.offset, byteCount: stretches.first, into: &buffer, at: index)
    place.data.copyOut(at: 0, byteCount: stretches.second, into: &buffer, at: index + stretches.first)
    publish(count)
    return count
  }

  /// The same to private memory of this process, at `offset` of it.
  public mutating func take(to memory: SharedBytes, at offset: Int, limit: Int) throws(ByteStreamFault) -> Int {
    let count = min(try available(), limit)
    guard count > 0 else { return 0 }
    let stretches = place.stretches(from: consumer, count: count)
    memory.copy(from: place.data, sourceOffset: stretches.offset, to: offset, byteCount: stretches.first)
    memory.copy(from: place.data, sourceOffset: 0, to: offset + stretches.first, byteCount: stretches.second)
    publish(count)
    return count
  }

  @inlinable mutating func publish(_ count: Int) {
    guard count > 0 else { return }
    consumer &+= UInt32(count)
    // Pairs with the acquire in ByteStreamProducer.room: our copies are done before the peer writes there again. The fence is for a peer
    // that signals only when it finds everything taken (Linux's xb_write): it sees this index, or the next look here sees its bytes.
    place.indices.storeAndFence32(consumer, at: place.consumerOffset)
  }
}
