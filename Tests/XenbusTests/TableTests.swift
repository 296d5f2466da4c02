import Foundation
import Testing
import XenInterface
import Xenbus

@Suite struct TableTests {
  @Test func everyBackendPairIsDefined() { checkEveryPair(of: BackendState.self) }
  @Test func everyFrontendPairIsDefined() { checkEveryPair(of: FrontendState.self) }

  private func checkEveryPair<State: XenbusEndState>(of: State.Type) {
    let states = Array(State.allCases)
    #expect(State.table.rows.map(\.state) == states, "one row a state, in order")
    for state in states {
      let row = State.table[state]
      for event in XenbusEvent.allCases {
        switch State.table.reaction(to: event, in: state) {
        case .step(let rule):
          // A condition that changes neither the state nor itself would be looked at for ever.
          #expect(rule.next != state || rule.actions.contains { $0 == .republish || $0 == .locatePeer }, "\(state) \(event)")
          checkStep(from: row, rule)
        case .noChange: #expect(!event.isOutcome)
        case .impossible: #expect(event.isOutcome)
        }
      }
    }
  }

  private func checkStep<State: XenbusEndState>(from row: XenbusRow<State>, _ rule: XenbusRule<State>) {
    let next = State.table[rule.next]
    let operations = rule.actions.filter { !$0.outcomes.isEmpty }
    #expect(operations.count <= 1, "\(row.state) begins \(operations) at once")
    #expect(operations.isEmpty || rule.actions.last == operations.first, "what is published comes before what takes time")
    for outcome in operations.flatMap(\.outcomes) {
      guard case .step = State.table.reaction(to: outcome, in: rule.next) else {
        Issue.record("\(rule.next) does not say what '\(outcome)' leads to")
        continue
      }
    }
    var published = row.reads
    for case .publish(let state) in rule.actions { published = state }
    if let reads = next.reads, let published { #expect(published == reads, "\(row.state) to \(rule.next)") }
    if next.holdsConnection == false && row.holdsConnection { #expect(rule.events.allSatisfy { $0 == .drained }, "\(row.state)") }
  }

  @Test(arguments: BackendState.allCases.filter { $0 != .leaving && $0 != .left })
  func noBackendStateKeepsAProcessThatIsToStop(state: BackendState) {
    checkItCanStop(state, last: .finished, [.peer(.closed), .deadlinePassed, .stopRequested])
  }

  @Test(arguments: [BackendState.connected, .adopting, .leaving])
  func aBackendThatLeavesEndsWithTheFrontendConnected(state: BackendState) {
    checkItCanStop(state, last: .left, asked: .leaveRequested, [])
    #expect(BackendState.table[.left].reads == .connected && !BackendState.table[.left].holdsConnection)
  }

  @Test(arguments: BackendState.allCases.filter { ![.starting, .connected, .adopting, .leaving, .left].contains($0) })
  func aBackendThatIsNotConnectedStopsWhenItIsToLeave(state: BackendState) {
    checkItCanStop(state, last: .finished, asked: .leaveRequested, [.peer(.closed), .deadlinePassed])
  }

  @Test(arguments: FrontendState.allCases) func noFrontendStateKeepsAProcessThatIsToStop(state: FrontendState) {
    checkItCanStop(state, last: .finished, [.peer(.closed), .deadlinePassed, .stopRequested])
  }

  /// With a peer that is Closed or silent, outcomes and the request to stop lead to the end.
  private func checkItCanStop<State: XenbusEndState>(
    _ start: State, last: State, asked: XenbusEvent = .stopRequested, _ conditions: [XenbusEvent]
  ) {
    var state = start
    var visited = 0
    while state != last && visited < 20 {
      visited += 1
      let events = [asked] + conditions + XenbusEvent.outcomes.reversed()
      let steps = events.compactMap { event -> State? in
        if case .step(let rule) = State.table.reaction(to: event, in: state), rule.next != state { rule.next } else { nil }
      }
      guard let next = steps.first else { break }
      state = next
    }
    #expect(state == last, "from \(start)")
  }

  @Test func eachConditionIsInTheOrderOfLookingOnce() {
    #expect(Set(XenbusEvent.allCases).count == XenbusEvent.allCases.count)
    #expect(XenbusEvent.conditions.count == 11 + XenbusState.allCases.count)
    let outcomes: [XenbusAction] = [.inspect, .advertise, .connect, .refresh, .reconfigure, .quiesce, .disconnect]
    #expect(Set(outcomes.flatMap(\.outcomes) + [.deadlinePassed]) == Set(XenbusEvent.outcomes))
  }

  /// `PVIO_WRITE_DOCS=1 swift test --filter XenbusTests` writes it anew.
  @Test func theDocumentIsNotStale() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/xenbus-states.md").standardized
    let text = XenbusDocument.markdown()
    if ProcessInfo.processInfo.environment["PVIO_WRITE_DOCS"] == "1" {
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    let stored = try String(contentsOf: file, encoding: .utf8)
    #expect(stored == text, "docs/xenbus-states.md is stale: PVIO_WRITE_DOCS=1 swift test --filter XenbusTests")
  }
}
