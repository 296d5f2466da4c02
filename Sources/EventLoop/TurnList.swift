import SharedMemory

/// The sources of a loop that take turns, in the order in which they came: lent, so that a turn counts no references.
struct TurnList: ~Copyable {
  private var places = ObjectSlots<LoopSource>(count: 8)
  /// Places in use, those included that became empty since ``closeGaps()``.
  private(set) var count = 0
  /// Places became empty since then.
  private var hasGaps = false
  /// Whether a source may be lent at the moment: from ``beginLending()`` to ``endLending()``.
  private var isLending = false
  /// Those that were taken off meanwhile: one of them may be the one that is lent.
  private var leaving: [LoopSource] = []

  mutating func beginLending() { isLending = true }

  mutating func endLending() {
    isLending = false
    closeGaps()
  }

  /// Asks the source at a place; false when it is empty.
  @inline(__always) func withSource(_ index: Int, _ body: (LoopSource) -> Bool) -> Bool { places.withObject(index, body) ?? false }

  mutating func append(_ source: LoopSource) {
    if count == places.count {
      let larger = ObjectSlots<LoopSource>(count: 2 * count)
      for index in 0..<count { larger[index] = places[index] }
      places = larger
    }
    places[count] = source
    count += 1
  }

  /// Takes a source off, if it is there. Its place stays empty until ``closeGaps()``.
  mutating func remove(_ source: LoopSource) {
    for index in 0..<count where places[index] === source {
      if isLending { leaving.append(source) }
      places[index] = nil
      hasGaps = true
      return
    }
  }

  /// Moves the others together. Not while one is lent.
  @inline(__always) mutating func closeGaps() {
    if hasGaps { moveTogether() }
  }

  private mutating func moveTogether() {
    var end = 0
    for index in 0..<count {
      guard let source = places[index] else { continue }
      if end < index {
        places[end] = source
        places[index] = nil
      }
      end += 1
    }
    count = end
    hasGaps = false
    // Let go of last: a source that goes away may take others off.
    var gone: [LoopSource] = []
    swap(&gone, &leaving)
  }

  mutating func removeAll() {
    for index in 0..<count { places[index] = nil }
    count = 0
    hasGaps = false
    leaving = []
  }
}
