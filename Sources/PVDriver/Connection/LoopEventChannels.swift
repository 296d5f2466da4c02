public import EventLoop

extension Array where Element == LoopEventChannel {
  /// Stops waiting and signalling on all of them, then calls `done`. Loop thread only.
  public func close(_ done: @escaping () -> Void) {
    if isEmpty { return done() }
    var open = count
    for channel in self {
      channel.close {
        open -= 1
        if open == 0 { done() }
      }
    }
  }
}
