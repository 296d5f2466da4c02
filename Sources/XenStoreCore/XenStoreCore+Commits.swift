extension XenStoreCore {
  // MARK: For who keeps the store on disk

  /// From now on hands each commit to `listener`, and keeps back every packet that was added to an output since until
  /// ``commitsAreDurable(upTo:)`` has said that the last commit before it cannot be lost.
  ///
  /// `listener` is called in the middle of the core's work and must not call the core.
  public func keepCommits(_ listener: @escaping (XenStoreCommit) -> Void) {
    precondition(!journal.isOn, "commits are kept already")
    // Output from before, as after a live update, tells only of what was durable before.
    for connection in connections.elements {
      for _ in connection.output.packets { connection.gate.append(sequence: journal.durableSequence) }
    }
    journal.listener = listener
  }

  /// The last commit that took place, complete or not.
  public var lastCommitSequence: UInt64 { journal.lastSequence }

  /// The last commit that ``commitsAreDurable(upTo:)`` has named.
  public var durableCommitSequence: UInt64 { journal.durableSequence }

  /// Lets go of output that waited for commits up to `sequence`; the connections concerned are ready again.
  public func commitsAreDurable(upTo sequence: UInt64) {
    precondition(sequence <= journal.lastSequence, "commit \(sequence) has not taken place")
    journal.durableSequence = max(journal.durableSequence, sequence)
    let waiting = waitingForDurability
    waitingForDurability.removeAll(keepingCapacity: true)
    for id in waiting {
      guard let connection = connections[id] else { continue }
      connection.isWaitingForDurability = false
      markReady(connection)
    }
  }

  /// Makes every change that `body` makes one commit. May be nested; the outermost counts.
  public func asOneCommit<Result, Failure>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    journal.enter()
    defer { journal.leave(generation: lastGeneration) }
    return try body()
  }

  // MARK: For the other parts of the core

  /// Notes a change for the commit under way. Call it inside ``asOneCommit(_:)``, before anybody is told of the change.
  func note(_ change: @autoclosure () -> XenStoreChange) {
    if journal.isOn { journal.note(change()) }
  }

  /// Whether the oldest packet must stay until more commits are durable; its connection is told when that is so.
  func isKeptBack(_ connection: StoreConnection) -> Bool {
    guard journal.isOn, let sequence = connection.gate.sequence, sequence > journal.durableSequence else { return false }
    if !connection.isWaitingForDurability {
      connection.isWaitingForDurability = true
      waitingForDurability.append(connection.id)
    }
    return true
  }
}
