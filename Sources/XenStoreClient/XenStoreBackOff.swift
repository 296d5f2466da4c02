/// How long to wait before trying again: not at all before the first retry, then a random time below a bound that doubles up to a limit.
///
/// The randomness keeps clients that met once from meeting again.
public struct XenStoreBackOff: Hashable, Sendable {
  /// Bound of the first wait, which comes before the second retry.
  public var first: Duration
  /// Most that is waited before one retry.
  public var longest: Duration
  /// When nothing has succeeded for so long, there is no further retry.
  public var total: Duration

  public init(first: Duration = .milliseconds(1), longest: Duration = .milliseconds(50), total: Duration = .seconds(30)) {
    self.first = first
    self.longest = longest
    self.total = total
  }

  /// Most that is waited before retry `number`, counted from 1.
  public func bound(beforeRetry number: Int) -> Duration {
    guard number > 1 else { return .zero }
    // Doubling stops long before it could overflow.
    return min(longest, first * (1 << min(number - 2, 30)))
  }

  func delay(beforeRetry number: Int) -> Duration {
    let bound = bound(beforeRetry: number)
    return bound == .zero ? .zero : bound * Double.random(in: 0...1)
  }
}
