import EventLoop
import SharedMemory

/// The pace at which a device's requests begin, over all of its connections. Loop thread only.
final class RequestLimit {
  /// Whether there is a limit at all.
  let isOn: Bool
  /// In a test, the clock is set.
  let clock = LoopClock()
  private let pacer: FixedCell<RequestPacer>

  init(_ rate: RequestRate) {
    let pacer = RequestPacer(rate)
    isOn = pacer.isLimited
    self.pacer = FixedCell(pacer)
  }

  /// A request waits, and the loop will be called when it need not any more.
  var isWaiting: Bool { pacer.value.isWaiting }

  /// Whether the next request has to wait. The loop turns again when it need not any more.
  func holdsBack(on loop: EventLoop) -> Bool {
    let wait = pacer.value.nanosecondsUntilAllowed(now: clock.nowNanoseconds)
    guard wait > 0 else { return false }
    guard !pacer.value.isWaiting else { return true }
    pacer.value.isWaiting = true
    loop.schedule(afterNanoseconds: wait) { [self] in pacer.value.isWaiting = false }
    return true
  }

  /// Counts a request that begins.
  func spend(byteCount: Int) { pacer.value.spend(byteCount: byteCount, now: clock.nowNanoseconds) }
}
