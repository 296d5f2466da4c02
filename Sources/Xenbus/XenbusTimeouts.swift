/// How long an end waits for its peer.
public struct XenbusTimeouts: Sendable {
  /// For a peer to take part in closing or reconfiguring (libxl waits 10 s before it destroys).
  public var peer: Duration
  /// A front-end's pause before it tries again, at first; doubles with each failure.
  public var firstRetry: Duration
  /// The longest pause before the next attempt.
  public var longestRetry: Duration

  public init(
    peer: Duration = .seconds(10), firstRetry: Duration = .milliseconds(20),
    longestRetry: Duration = .seconds(10)
  ) {
    self.peer = peer
    self.firstRetry = firstRetry
    self.longestRetry = longestRetry
  }

  /// - Parameter failures: attempts that failed since the device was last connected.
  func duration(of deadline: XenbusDeadline, failures: Int) -> Duration {
    switch deadline {
    case .peer: peer
    case .retry: min(longestRetry, firstRetry * (1 << min(max(failures - 1, 0), 16)))
    }
  }
}
