/// Since when the events that a connection has not read wait: oldest first, those of the same moment together.
struct EventAges {
  private struct Run {
    var since: UInt64
    var eventCount: Int
  }

  private var runs: [Run] = []
  private var head = 0

  /// Since when the oldest event waits; nil when there is none.
  var oldest: UInt64? { head < runs.count ? runs[head].since : nil }

  /// An event was added.
  mutating func append(since now: UInt64) {
    if head < runs.count, runs[runs.count - 1].since == now {
      runs[runs.count - 1].eventCount += 1
    } else {
      if head == runs.count { removeAll() }
      runs.append(Run(since: now, eventCount: 1))
    }
  }

  /// The oldest event was taken.
  mutating func removeFirst() {
    guard head < runs.count else { return }
    runs[head].eventCount -= 1
    if runs[head].eventCount == 0 { head += 1 }
    if head >= 256, head * 2 >= runs.count {
      runs.removeFirst(head)
      head = 0
    }
  }

  /// Takes out the events that wait since `limit` or longer; how many they were.
  mutating func removeAll(since limit: UInt64) -> Int {
    var count = 0
    while let oldest, oldest <= limit {
      count += runs[head].eventCount
      head += 1
    }
    return count
  }

  mutating func removeAll() {
    runs.removeAll(keepingCapacity: runs.count <= 64)
    head = 0
  }

  /// All events begin to wait now.
  mutating func restart(at now: UInt64) {
    let count = runs[head...].reduce(0) { $0 + $1.eventCount }
    removeAll()
    if count > 0 { runs.append(Run(since: now, eventCount: count)) }
  }
}
