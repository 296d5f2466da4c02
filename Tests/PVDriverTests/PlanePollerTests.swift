import PVDriver
import SharedRing
import Testing

/// Whether a plane that found nothing goes on looking.
@Suite struct PlanePollerTests {
  private func decisions(_ poller: inout PlanePoller, at times: [UInt64]) -> [Bool] { times.map { poller.wantsPolling(now: $0) } }

  @Test func aTurnThatDidSomethingIsFollowedByTheTurnaroundWhateverThePollerHasLearned() {
    var poller = PlanePoller(.adaptive(maximumNanoseconds: 0), turnaroundNanoseconds: 5000)
    #expect(decisions(&poller, at: [1000]) == [false])
    poller.turnWorked()
    #expect(decisions(&poller, at: [2000, 6999, 7000]) == [true, true, false])
    poller.turnWorked()
    #expect(decisions(&poller, at: [9000]) == [true])
  }

  @Test func whereNobodyPollsThereIsNoTurnaround() {
    var poller = PlanePoller(.never, turnaroundNanoseconds: 5000)
    poller.turnWorked()
    #expect(decisions(&poller, at: [1000]) == [false])
  }

  @Test func withoutATurnaroundTheWindowDecides() {
    var poller = PlanePoller(.adaptive(maximumNanoseconds: 50_000))
    poller.turnWorked()
    #expect(decisions(&poller, at: [1000, 50_999, 51_000]) == [true, true, false])
  }
}
