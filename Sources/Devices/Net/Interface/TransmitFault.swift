public import XenInterface

/// What no honest front-end puts on a transmit ring: its device is stopped until it connects anew (`xenvif_fatal_tx_err`,
/// drivers/net/xen-netback/netback.c).
public enum TransmitFault: Error, Sendable, Equatable, CustomStringConvertible {
  /// A chain goes on where the ring ends: an extra info was to follow.
  case missingExtraInfo
  /// A chain goes on where the ring ends: more of the frame was to follow.
  case missingFragment
  /// More requests after the first than are even dropped (`fatal_skb_slots`).
  case fragmentCount
  /// A piece that ends after its page; the first one's length is what is left of the frame.
  case pieceOutsidePage(GrantReference, offset: Int, byteCount: Int)
  case extraInfo(ExtraInfos.Fault)

  public var description: String {
    switch self {
    case .missingExtraInfo: "a chain of requests ends where an extra info was to follow"
    case .missingFragment: "a chain of requests ends where more of the frame was to follow"
    case .fragmentCount: "a frame of more than \(NetifLimits.toleratedFragmentsPerFrame) fragments"
    case .pieceOutsidePage(let grant, let offset, let byteCount):
      "a piece of \(byteCount) bytes at \(offset) of grant \(grant), which ends outside its page"
    case .extraInfo(.type(let type)): "an extra info of type \(type), which does not exist"
    case .extraInfo(.emptySegments): "a frame to be cut into segments of no bytes"
    case .extraInfo(.segmentationType(let type)): "a frame to be cut in way \(type), which does not exist"
    }
  }
}

/// What is wrong with a frame that is dropped: its requests are answered with `error`, and the ring goes on.
public enum TransmitRejection: Sendable, Equatable, CaseIterable {
  /// More fragments than every back-end takes, but not more than are tolerated.
  case fragmentCount
  /// A fragment larger than what is left of the frame: it was 64 KiB or more, and its 16-bit size overflowed.
  case fragmentExceedsFrame
  /// Less than an Ethernet header.
  case tooShort
}
