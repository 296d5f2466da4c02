public import XenInterface

/// A shared index that no honest peer can have written. The ring is broken until both sides connect again.
///
/// Carries what was seen, so that the line in the log is enough to tell a hostile peer from a wrong page.
public struct RingFault: Error, Sendable, Equatable {
  /// Which side wrote the index.
  public enum Side: Sendable, Equatable { case front, back }

  /// Who broke the rule.
  public var offender: Side
  /// What the peer claims to have produced (`req_prod` when the front offends, `rsp_prod` when the back does).
  public var claimedProducer: RingIndex
  /// Where our private consumer index stood.
  public var consumer: RingIndex
  /// How many entries the peer could have produced beyond `consumer` at most.
  public var allowedCount: UInt32

  @inlinable public init(offender: Side, claimedProducer: RingIndex, consumer: RingIndex, allowedCount: UInt32) {
    self.offender = offender
    self.claimedProducer = claimedProducer
    self.consumer = consumer
    self.allowedCount = allowedCount
  }
}

extension RingFault: CustomStringConvertible {
  public var description: String {
    let name = offender == .front ? "front-end's req_prod" : "back-end's rsp_prod"
    return "\(name) is \(claimedProducer), \(claimedProducer &- consumer) ahead of our consumer \(consumer); at most \(allowedCount) are possible"
  }
}
