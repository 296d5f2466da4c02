import DriverCommands
import Testing

/// Work that somebody may not want to be waited for any more.
@Suite(.timeLimit(.minutes(5))) struct StopRequestTests {
  @Test func whatIsDoneFirstIsReturned() async {
    #expect(await StopRequest().unlessRaised { 7 } == 7)
  }

  @Test func workIsCancelledWhenTheEndIsAskedFor() async {
    let stop = StopRequest()
    let (cancelled, cancel) = AsyncStream<Void>.makeStream()
    async let result: Int? = stop.unlessRaised {
      while !Task.isCancelled { await Task.yield() }
      cancel.finish()
      return 7
    }
    stop.raise()
    for await _ in cancelled {}
    let seen = await result
    #expect(seen == nil)
  }

  @Test func aRequestThatWasRaisedBeforeEndsAWaitAtOnce() async {
    let stop = StopRequest()
    stop.raise()
    let (never, _) = AsyncStream<Int>.makeStream()
    #expect(await stop.unlessRaised { await never.first { _ in true } } == nil)
  }
}
