/// Which commit each packet of a connection's output waits for, in runs: packets that wait for the same one share an entry.
struct OutputGate {
  private struct Run {
    let sequence: UInt64
    var packetCount: Int
  }

  private var runs: [Run] = []
  private var head = 0

  /// A packet was added to the end of the output.
  mutating func append(sequence: UInt64) {
    if head < runs.count, runs[runs.count - 1].sequence == sequence {
      runs[runs.count - 1].packetCount += 1
    } else {
      if head == runs.count {
        runs.removeAll(keepingCapacity: true)
        head = 0
      }
      runs.append(Run(sequence: sequence, packetCount: 1))
    }
  }

  /// The commit that the oldest packet waits for; nil when there is no packet.
  var sequence: UInt64? { head < runs.count ? runs[head].sequence : nil }

  /// Packets were taken out, those that are marked; there is a mark for each, oldest first.
  mutating func remove(_ removed: [Bool]) {
    var next = 0
    for index in head..<runs.count {
      let marks = removed[next..<min(next + runs[index].packetCount, removed.count)]
      next += marks.count
      runs[index].packetCount -= marks.count { $0 }
    }
    runs = runs[head...].filter { $0.packetCount > 0 }
    head = 0
  }

  /// The oldest packet was taken.
  mutating func removeFirst() {
    guard head < runs.count else { return }
    runs[head].packetCount -= 1
    if runs[head].packetCount == 0 { head += 1 }
    if head >= 256, head * 2 >= runs.count {
      runs.removeFirst(head)
      head = 0
    }
  }
}
