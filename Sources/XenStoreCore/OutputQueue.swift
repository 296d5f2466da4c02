/// What one connection has yet to be sent, in order. An event that is already waiting is not added again (XSA-326).
struct OutputQueue {
  private struct Entry {
    var bytes: [UInt8]
    var isEvent: Bool
  }

  private var entries: [Entry] = []
  private var head = 0
  /// The events that wait, once more than ``scanLimit`` packets do: most queues are empty when an event comes, and to compare it with a
  /// few packets costs less than to hash it.
  private var waitingEvents: Set<[UInt8]>?
  /// Packets that are compared one by one.
  private static let scanLimit = 8
  private(set) var replyCount = 0
  private(set) var eventByteCount = 0

  var isEmpty: Bool { head == entries.count }

  mutating func append(reply bytes: [UInt8]) {
    entries.append(Entry(bytes: bytes, isEvent: false))
    replyCount += 1
  }

  /// False when the event was waiting already.
  mutating func append(event bytes: [UInt8]) -> Bool {
    guard noteWaiting(bytes) else { return false }
    entries.append(Entry(bytes: bytes, isEvent: true))
    eventByteCount += bytes.count
    return true
  }

  /// False when an event of these bytes waits already.
  private mutating func noteWaiting(_ bytes: [UInt8]) -> Bool {
    if waitingEvents == nil {
      if entries.count - head <= OutputQueue.scanLimit { return !entries[head...].contains { $0.isEvent && $0.bytes == bytes } }
      waitingEvents = Set(entries[head...].lazy.filter(\.isEvent).map(\.bytes))
    }
    return waitingEvents?.insert(bytes).inserted ?? true
  }

  /// Takes the oldest packet.
  mutating func next() -> [UInt8]? {
    guard head < entries.count else { return nil }
    let entry = entries[head]
    entries[head].bytes = []
    head += 1
    if head == entries.count {
      entries.removeAll(keepingCapacity: head <= 64)
      head = 0
      waitingEvents = nil
    } else if head >= 1024, head * 2 >= entries.count {
      entries.removeFirst(head)
      head = 0
    }
    if entry.isEvent {
      waitingEvents?.remove(entry.bytes)
      eventByteCount -= entry.bytes.count
    } else {
      replyCount -= 1
    }
    return entry.bytes
  }

  /// Takes out the oldest `count` events. Gives for each packet that waited, oldest first, whether it was taken out.
  mutating func removeOldestEvents(_ count: Int) -> [Bool] {
    var remaining = count
    var stay: [Entry] = []
    let removed = entries[head...].map { entry in
      guard entry.isEvent, remaining > 0 else {
        stay.append(entry)
        return false
      }
      remaining -= 1
      waitingEvents?.remove(entry.bytes)
      eventByteCount -= entry.bytes.count
      return true
    }
    entries = stay
    head = 0
    return removed
  }

  /// Every packet that waits, oldest first.
  var packets: [[UInt8]] { entries[head...].map(\.bytes) }

  mutating func removeAll() { self = OutputQueue() }
}
