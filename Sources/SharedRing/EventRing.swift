public import SharedMemory
public import XenInterface

/// Where a one-way event ring is in a page that both ends share: xen/include/public/io/kbdif.h and fbif.h have two of them in one page,
/// "in" to the front-end and "out" from it, each an array of 40-byte events with a producer and a consumer index.
public struct EventRingLayout: Sendable, Equatable {
  /// Where the writer's index is, in bytes from the start of the page.
  public var producer: Int
  /// Where the reader's index is.
  public var consumer: Int
  /// Where the first event is.
  public var first: Int
  /// Distance from one event to the next, in bytes.
  public var eventByteCount: Int
  /// Number of events, not a power of two in Xen's protocols.
  public var count: UInt32

  public init(producer: Int, consumer: Int, first: Int, eventByteCount: Int, byteCount: Int) {
    precondition(eventByteCount >= 4 && eventByteCount & 3 == 0 && byteCount >= eventByteCount, "not a single event fits")
    self.producer = producer
    self.consumer = consumer
    self.first = first
    self.eventByteCount = eventByteCount
    count = UInt32(byteCount / eventByteCount)
  }

  /// To a keyboard's front-end: 51 events of 40 bytes at 1024 (`XENKBD_IN_RING_OFFS`).
  public static let keyboardIn = EventRingLayout(producer: 4, consumer: 0, first: 1024, eventByteCount: 40, byteCount: 2048)
  /// From a keyboard's front-end: 25 events at 3072 (`XENKBD_OUT_RING_OFFS`).
  public static let keyboardOut = EventRingLayout(producer: 12, consumer: 8, first: 3072, eventByteCount: 40, byteCount: 1024)
  /// To a framebuffer's front-end: 25 events at 1024 (`XENFB_IN_RING_OFFS`).
  public static let framebufferIn = EventRingLayout(producer: 4, consumer: 0, first: 1024, eventByteCount: 40, byteCount: 1024)
  /// From a framebuffer's front-end: 51 events at 2048 (`XENFB_OUT_RING_OFFS`).
  public static let framebufferOut = EventRingLayout(producer: 12, consumer: 8, first: 2048, eventByteCount: 40, byteCount: 2048)

  @inlinable func offset(of index: RingIndex) -> Int { first + Int(index % count) * eventByteCount }

  /// How many events may be unread when the next one is `producer`.
  ///
  /// The indices wrap at 2³², the places at ``count``, which does not divide it: of the events on both sides of the wrap, two that are
  /// `2³² mod count` apart have the same place. A writer that did not wait there would lose one every four billion.
  @inlinable func capacity(from consumer: RingIndex, to producer: RingIndex) -> UInt32 {
    if producer >= consumer { return count }
    let apart = UInt32((UInt64(1) << 32) % UInt64(count))
    return apart == 0 ? count : min(count, apart)
  }
}

/// An index of an event ring that no honest peer can have written. The ring is broken until both sides connect again.
public struct EventRingFault: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Side: Sendable, Equatable { case writer, reader }
  /// Who wrote it.
  public var offender: Side
  /// What it claims to have produced, or consumed.
  public var claimed: RingIndex
  /// Our own index.
  public var own: RingIndex
  /// How far the two can be apart.
  public var allowedCount: UInt32

  @inlinable public init(offender: Side, claimed: RingIndex, own: RingIndex, allowedCount: UInt32) {
    self.offender = offender
    self.claimed = claimed
    self.own = own
    self.allowedCount = allowedCount
  }

  public var description: String {
    offender == .writer
      ? "the events' producer is \(claimed), \(claimed &- own) ahead of our consumer \(own); at most \(allowedCount) are possible"
      : "the events' consumer is \(claimed), but \(allowedCount) events before our producer \(own) are all that there can be"
  }
}

/// The end of an event ring that writes. Belongs to one thread.
///
/// ```swift
/// if try writer.put(event) { channel.signal() } else { … }      // full: the reader is slow, drop or wait
/// ```
public struct EventWriter<Event: WireRecord>: ~Copyable {
  @usableFromInline let memory: SharedBytes
  @usableFromInline let layout: EventRingLayout
  @usableFromInline var producer: RingIndex
  /// The last index of the reader that was seen and found possible.
  @usableFromInline var knownConsumer: RingIndex
  @usableFromInline var fault: EventRingFault?

  /// Goes on where the page says: at zero in one that the front-end has just zeroed.
  public init(_ memory: SharedBytes, layout: EventRingLayout) throws(EventRingFault) {
    precondition(Event.byteCount <= layout.eventByteCount, "an event is larger than its place")
    self.memory = memory
    self.layout = layout
    producer = memory.load32(at: layout.producer)
    let consumer = memory.load32(at: layout.consumer)
    guard producer &- consumer <= layout.count else {
      throw EventRingFault(offender: .reader, claimed: consumer, own: producer, allowedCount: layout.count)
    }
    knownConsumer = consumer
  }

  /// Writes an event and shows it to the reader, who is then to be signalled. False when the ring is full.
  /// Throws when the reader claims to have read what was never written, now and on every later call.
  @inlinable public mutating func put(_ event: Event) throws(EventRingFault) -> Bool {
    if let fault { throw fault }
    if producer &- knownConsumer >= layout.capacity(from: knownConsumer, to: producer) {
      // Pairs with the release in EventReader.take: what stood in the place has been read.
      let consumer = memory.loadAcquire32(at: layout.consumer)
      guard consumer &- knownConsumer <= producer &- knownConsumer else {
        let fault = EventRingFault(offender: .reader, claimed: consumer, own: producer, allowedCount: producer &- knownConsumer)
        self.fault = fault
        throw fault
      }
      knownConsumer = consumer
      if producer &- consumer >= layout.capacity(from: consumer, to: producer) { return false }
    }
    memory.withSlot(at: layout.offset(of: producer), byteCount: Event.byteCount) { event.store(to: $0, at: 0) }
    producer &+= 1
    // Pairs with the acquire in EventReader.take: a reader that sees the index sees the event.
    memory.storeRelease32(producer, at: layout.producer)
    return true
  }
}

/// The end of an event ring that reads. Belongs to one thread. Each event is copied once.
public struct EventReader<Event: WireRecord>: ~Copyable {
  @usableFromInline let memory: SharedBytes
  @usableFromInline let layout: EventRingLayout
  @usableFromInline var consumer: RingIndex
  @usableFromInline var knownProducer: RingIndex
  @usableFromInline var fault: EventRingFault?

  /// Goes on where the page says.
  public init(_ memory: SharedBytes, layout: EventRingLayout) throws(EventRingFault) {
    precondition(Event.byteCount <= layout.eventByteCount, "an event is larger than its place")
    self.memory = memory
    self.layout = layout
    consumer = memory.load32(at: layout.consumer)
    knownProducer = consumer
    _ = try refresh()
  }

  /// Copies the next event out; nil when there is none. Throws when the writer claims more than the ring holds, now and later.
  @inlinable public mutating func take() throws(EventRingFault) -> Event? {
    if consumer == knownProducer {
      guard try refresh() else { return nil }
    }
    let event = memory.withSlot(at: layout.offset(of: consumer), byteCount: Event.byteCount) { Event(copying: $0, at: 0) }
    consumer &+= 1
    // Pairs with the acquire in EventWriter.put: the place is free once the index is seen.
    memory.storeRelease32(consumer, at: layout.consumer)
    return event
  }

  /// Whether ``take()`` would return or throw something.
  @inlinable public var hasEvents: Bool { memory.load32(at: layout.producer) != consumer }

  @inlinable mutating func refresh() throws(EventRingFault) -> Bool {
    if let fault { throw fault }
    let produced = memory.loadAcquire32(at: layout.producer)
    guard produced &- consumer <= layout.count else {
      let fault = EventRingFault(offender: .writer, claimed: produced, own: consumer, allowedCount: layout.count)
      self.fault = fault
      throw fault
    }
    knownProducer = produced
    return produced != consumer
  }
}
