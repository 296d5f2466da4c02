import XenStoreWire

/// What one connection has yet to be sent, in order. An event that is already waiting is not added again (XSA-326).
struct OutputQueue {
  private enum Entry {
    // Put into bytes when they are taken: only then is it known where these go.
    case reply(XenStorePacket)
    case event(WaitingEvent)
    case taken

    var event: WaitingEvent? {
      guard case .event(let event) = self else { return nil }
      return event
    }
  }

  private var entries: [Entry] = []
  private var head = 0
  /// The events that wait, once more than ``scanLimit`` packets do: most queues are empty when an event comes, and to compare it with a
  /// few packets costs less than to hash it.
  private var waitingEvents: Set<WaitingEvent>?
  /// Packets that are compared one by one.
  private static let scanLimit = 8
  private(set) var replyCount = 0
  private(set) var eventByteCount = 0

  var isEmpty: Bool { head == entries.count }

  mutating func append(reply packet: XenStorePacket) {
    entries.append(.reply(packet))
    replyCount += 1
  }

  /// False when the event was waiting already.
  mutating func append(_ event: WaitingEvent) -> Bool {
    guard noteWaiting(event) else { return false }
    entries.append(.event(event))
    eventByteCount += event.byteCount
    return true
  }

  /// False when such an event waits already.
  private mutating func noteWaiting(_ event: WaitingEvent) -> Bool {
    if waitingEvents == nil {
      if entries.count - head <= OutputQueue.scanLimit { return head == entries.count || !entries[head...].contains { $0.event == event } }
      waitingEvents = Set(entries[head...].lazy.compactMap(\.event))
    }
    return waitingEvents?.insert(event).inserted ?? true
  }

  /// Takes the oldest packet.
  mutating func next() -> [UInt8]? {
    var bytes: [UInt8] = []
    return takeNext(into: &bytes) ? bytes : nil
  }

  /// Takes the oldest packet and appends it to `bytes`; false when there is none.
  mutating func takeNext(into bytes: inout [UInt8]) -> Bool {
    guard head < entries.count else { return false }
    switch removeFirst() {
    case .reply(let packet):
      replyCount -= 1
      packet.encode(into: &bytes)
    case .event(let event):
      waitingEvents?.remove(event)
      eventByteCount -= event.byteCount
      event.encode(into: &bytes)
    case .taken: return false
    }
    return true
  }

  private mutating func removeFirst() -> Entry {
    var entry = Entry.taken
    swap(&entry, &entries[head])
    head += 1
    if head == entries.count {
      entries.removeAll(keepingCapacity: head <= 64)
      head = 0
      waitingEvents = nil
    } else if head >= 1024, head * 2 >= entries.count {
      entries.removeFirst(head)
      head = 0
    }
    return entry
  }

  /// Takes out the oldest `count` events. Gives for each packet that waited, oldest first, whether it was taken out.
  mutating func removeOldestEvents(_ count: Int) -> [Bool] {
    var remaining = count
    var stay: [Entry] = []
    let removed = entries[head...].map { entry in
      guard let event = entry.event, remaining > 0 else {
        stay.append(entry)
        return false
      }
      remaining -= 1
      waitingEvents?.remove(event)
      eventByteCount -= event.byteCount
      return true
    }
    entries = stay
    head = 0
    return removed
  }

  /// Every packet that waits, oldest first.
  var packets: [[UInt8]] {
    entries[head...].compactMap { entry in
      switch entry {
      case .reply(let packet): return packet.encoded
      case .event(let event):
        var bytes: [UInt8] = []
        event.encode(into: &bytes)
        return bytes
      case .taken: return nil
      }
    }
  }

  mutating func removeAll() { self = OutputQueue() }
}
