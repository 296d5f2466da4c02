import EventLoop
import LinuxSystem
import Testing

/// A loop that the test's own thread turns: both ends of a connection in one thread, so that nothing depends on who is faster.
final class TestLoop {
  let loop: EventLoop

  init() throws { loop = try EventLoop(name: "test") }

  deinit { loop.shutDown() }

  /// One turn, with its sleep. A turn handles what has come and sleeps then, so the test has to be let in again after a moment.
  func turn() {
    let wake = loop.schedule(afterNanoseconds: 200_000) {}
    loop.turn()
    wake.cancel()
  }

  /// Turns the loop until `condition` holds. False when nothing came of it for a very long time.
  func run(until condition: () throws -> Bool) rethrows -> Bool {
    var isOver = false
    let limit = loop.schedule(afterNanoseconds: 20_000_000_000) { isOver = true }
    defer { limit.cancel() }
    while try !condition() {
      if isOver { return false }
      turn()
    }
    return true
  }
}
