/// What the core tells whoever keeps its commits, and how far that one has got.
///
/// While nobody listens nothing is built: a change costs one test.
struct CommitJournal {
  /// Receives each commit when it is complete.
  var listener: ((XenStoreCommit) -> Void)?
  /// The last commit that took place, complete or still growing.
  private(set) var lastSequence: UInt64 = 0
  /// The last commit that will outlive the process.
  var durableSequence: UInt64 = 0
  private var changes: [XenStoreChange] = []
  /// How many actions are under way, one within the other; the outermost is the commit.
  private var depth = 0

  var isOn: Bool { listener != nil }

  init() {}

  init(continuingAt sequence: UInt64) {
    lastSequence = sequence
    durableSequence = sequence
  }

  /// Adds to the commit under way, before anybody is told of the change: what is said of it waits for this commit.
  mutating func note(_ change: XenStoreChange) {
    if changes.isEmpty { lastSequence += 1 }
    changes.append(change)
  }

  mutating func enter() { depth += 1 }

  /// Ends an action. When this was the outermost one and it changed something, the listener gets the commit.
  mutating func leave(generation: UInt64) {
    depth -= 1
    guard depth == 0, !changes.isEmpty else { return }
    listener?(XenStoreCommit(sequence: lastSequence, generation: generation, changes: changes))
    changes.removeAll(keepingCapacity: changes.count <= 64)
  }
}
