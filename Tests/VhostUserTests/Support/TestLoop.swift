import EventLoop
import LinuxSystem
import Testing

/// A loop that the test's own thread turns: both ends of a connection in one thread, so that nothing depends on who is faster.
final class TestLoop {
  let loop: EventLoop
  private var wake: LoopTimer?

  init() throws { loop = try EventLoop(name: "test") }

  deinit { loop.shutDown() }

  /// One turn, with its sleep. A turn handles what has come and sleeps then, so the test has to be let in again after a moment.
  func turn() {
    wakeSoon()
    loop.turn()
    wake?.cancel()
  }

  /// Again and again: one that is due before the turn sleeps does not end the sleep.
  private func wakeSoon() { wake = loop.schedule(afterNanoseconds: 200_000) { [unowned self] in wakeSoon() } }

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
