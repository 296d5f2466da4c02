public import SharedRing
import XenInterface

/// A rule of the protocol that the back-end broke. The ring is not touched any more until the ends connect anew.
///
/// The rules are those of the hardened Linux front-end (drivers/block/xen-blkfront.c, `blkif_interrupt`).
public enum BlockFrontFault: Error, Sendable, Equatable {
  /// `rsp_prod` claims responses to requests that were never made.
  case ring(RingFault)
  /// A response to an identifier that no request can have.
  case unknownIdentifier(UInt64)
  /// A response to a request that is not waiting for one: a second completion, or a stale one.
  case notWaiting(identifier: UInt64)
  /// A response that names another operation than its request.
  case wrongOperation(identifier: UInt64, expected: UInt8, found: UInt8)
  /// The request is answered and the back-end still has this many of its pages mapped (XSA-396).
  case pagesStillMapped(identifier: UInt64, count: Int)
}

extension BlockFrontFault: CustomStringConvertible {
  public var description: String {
    switch self {
    case .ring(let fault): fault.description
    case .unknownIdentifier(let identifier): "the back-end answered request \(identifier), which does not exist"
    case .notWaiting(let identifier): "the back-end answered request \(identifier), which was not waiting for an answer"
    case .wrongOperation(let identifier, let expected, let found):
      "the back-end answered request \(identifier) with operation \(found) instead of \(expected)"
    case .pagesStillMapped(let identifier, let count):
      "the back-end answered request \(identifier) and still has \(count) of its pages mapped"
    }
  }
}
