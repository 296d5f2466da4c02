import SharedMemory

/// The chains of a queue under way, in the order in which they were taken, and the answers that wait for earlier ones
/// (`VIRTIO_F_IN_ORDER`; virtio 1.2, 2.7.9 and 2.8.10).
@usableFromInline final class ChainOrder {
  /// An answer that the driver may be shown.
  @usableFromInline struct Answer {
    @usableFromInline var id: UInt16
    @usableFromInline var writtenByteCount: UInt32
  }

  private struct State {
    /// Free-running; chains under way are between them.
    var first = 0
    var end = 0
  }

  /// Ids, round and round: never more under way than the queue has entries.
  private let ids: FixedTable<UInt16>
  /// By id: what the answer that waits says was written.
  private let waiting: FixedTable<UInt32?>
  private let state = FixedCell(State())

  init(entryCount: Int) {
    ids = FixedTable(repeating: 0, count: entryCount)
    waiting = FixedTable(repeating: nil, count: entryCount)
  }

  /// Chains that were taken and whose answers are not in the ring.
  @usableFromInline var count: Int { state.value.end - state.value.first }

  @usableFromInline func took(_ id: UInt16) {
    ids[state.value.end % ids.count] = id
    state.value.end += 1
  }

  /// The chain that was taken last, of those under way, was not wanted after all.
  @usableFromInline func gaveBack(_ id: UInt16) {
    precondition(state.value.end > state.value.first && ids[(state.value.end - 1) % ids.count] == id, "a chain that was not taken last")
    state.value.end -= 1
  }

  @usableFromInline func answered(_ id: UInt16, _ writtenByteCount: UInt32) {
    precondition(waiting[Int(id)] == nil, "an answer to a chain that is answered")
    waiting[Int(id)] = writtenByteCount
  }

  /// The next answer in the chains' order; nil while there is none.
  @usableFromInline func takeAnswered() -> Answer? {
    guard state.value.first < state.value.end else { return nil }
    let id = ids[state.value.first % ids.count]
    guard let writtenByteCount = waiting[Int(id)] else { return nil }
    waiting[Int(id)] = nil
    state.value.first += 1
    return Answer(id: id, writtenByteCount: writtenByteCount)
  }
}
