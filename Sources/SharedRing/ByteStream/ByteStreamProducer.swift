public import SharedMemory

/// The end of a byte ring that puts bytes in. One owner, one thread at a time.
///
/// Either ``put(_:from:)`` copies in, or the kernel does: ``room()`` says where, ``advance(by:)`` how much has been written there.
public struct ByteStreamProducer: Sendable {
  @usableFromInline let place: ByteStreamPlace
  /// Free-running.
  @usableFromInline var producer: UInt32
  /// The last consumer's index that was seen and found possible.
  @usableFromInline var knownConsumer: UInt32

  /// Goes on at the index that shared memory shows.
  public init(_ place: ByteStreamPlace) {
    self.place = place
    producer = place.indices.load32(at: place.producerOffset)
    knownConsumer = producer
  }

  /// Bytes that the ring holds when it is full.
  @inlinable public var capacity: Int { Int(place.byteCount) }

  /// Whether the peer has taken everything: a look for the sake of scheduling, on which nothing else rests.
  @inlinable public var isDrained: Bool { place.indices.load32(at: place.consumerOffset) == producer }

  /// Whether there may be room: as above.
  @inlinable public var mayHaveRoom: Bool { producer &- place.indices.load32(at: place.consumerOffset) != place.byteCount }

  /// The peer's index as it stands, whatever it is: to see whether the peer has done anything.
  @inlinable public var peerIndex: UInt32 { place.indices.load32(at: place.consumerOffset) }

  /// Bytes that can be put in now.
  @inlinable public mutating func freeCount() throws(ByteStreamFault) -> Int {
    // Pairs with the release in ByteStreamConsumer.publish: the peer has copied what lies before this index.
    let consumer = place.indices.loadAcquire32(at: place.consumerOffset)
    guard producer &- consumer <= place.byteCount else {
      throw ByteStreamFault(producer: producer, consumer: consumer, byteCount: place.byteCount)
    }
    knownConsumer = consumer
    return Int(place.byteCount &- (producer &- consumer))
  }

  /// Where bytes can be put, for the kernel to write to.
  @inlinable public mutating func room() throws(ByteStreamFault) -> ByteStreamVectors {
    let count = try freeCount()
    return place.vectors(from: producer, count: count)
  }

  /// Gives the first `count` bytes of what ``room()`` has said to the peer.
  @inlinable public mutating func advance(by count: Int) {
    precondition(count >= 0 && count <= Int(place.byteCount &- (producer &- knownConsumer)), "more bytes put in than there was room for")
    publish(count)
  }

  /// Puts as many of `bytes`, from their element `index` on, as there is room for. Returns how many; the caller tells the peer when
  /// there were any.
  public mutating func put(_ bytes: [UInt8], from index: Int = 0) throws(ByteStreamFault) -> Int {
    let count = min(bytes.count - index, try freeCount())
    guard count > 0 else { return 0 }
    let stretches = place.stretches(from: producer, count: count)
    place.data.copyIn(bytes, from: index, byteCount: stretches.first, at: stretches.offset)
    place.data.copyIn(bytes, from: index + stretches.first, byteCount: stretches.second, at: 0)
    publish(count)
    return count
  }

  /// The same from private memory of this process: at most `byteCount` bytes at `offset` of it.
  public mutating func put(_ memory: SharedBytes, at offset: Int, byteCount: Int) throws(ByteStreamFault) -> Int {
    let count = min(byteCount, try freeCount())
    guard count > 0 else { return 0 }
    let stretches = place.stretches(from: producer, count: count)
    place.data.copy(from: memory, sourceOffset: offset, to: stretches.offset, byteCount: stretches.first)
    place.data.copy(from: memory, sourceOffset: offset + stretches.first, to: 0, byteCount: stretches.second)
    publish(count)
    return count
  }

  @inlinable mutating func publish(_ count: Int) {
    guard count > 0 else { return }
    producer &+= UInt32(count)
    // Pairs with the acquire in ByteStreamConsumer.available: the bytes are visible once the index is. The fence is for a peer that
    // signals only when it finds the ring full (Linux's xb_read): it sees this index, or the next call here sees its room.
    place.indices.storeAndFence32(producer, at: place.producerOffset)
  }
}
