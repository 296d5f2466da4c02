public import SharedRing

/// What carries a driver's requests and responses.
public enum RequestCarrier: String, Sendable, CaseIterable {
  /// A ring of Xen's `ring.h`: many at once.
  case ring = "request-ring"
  /// A mailbox of Xen's `tpmif.h`: one at a time.
  case mailbox
}

/// What a peer did to the memory that requests go through, and no honest one does.
public enum RequestCarrierFault: Error, Sendable, Equatable, CustomStringConvertible {
  case ring(RingFault)
  case mailbox(MailboxFault)

  public var description: String {
    switch self {
    case .ring(let fault): "\(fault)"
    case .mailbox(let fault): "\(fault)"
    }
  }
}
