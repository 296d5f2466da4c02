/// What a frame's sender has left to do for whoever passes the frame on: the checksum, and cutting it into segments.
///
/// The common form of netif's flags and GSO extra info (xen/include/public/io/netif.h) and of virtio's network header
/// (`struct virtio_net_hdr`, linux/virtio_net.h).
@frozen public struct FrameOffload: Sendable, Equatable {
  /// How a frame that is larger than the wire allows is to be cut up.
  @frozen public enum Segmentation: UInt8, Sendable {
    case none
    /// TCP over IPv4 (`XEN_NETIF_GSO_TYPE_TCPV4`, `VIRTIO_NET_HDR_GSO_TCPV4`).
    case tcpv4
    /// TCP over IPv6.
    case tcpv6
    /// UDP over IPv4 or IPv6: each segment is a datagram of its own (`VIRTIO_NET_HDR_GSO_UDP_L4`). Netif has no such type.
    case datagrams
  }

  /// The transport checksum field holds the sum of the pseudo header only (`NETTXF_csum_blank`, `NETRXF_csum_blank`).
  public var needsChecksum = false
  /// The transport checksum is known to be right (`NETTXF_data_validated`, `NETRXF_data_validated`).
  public var isValidated = false
  public var segmentation = Segmentation.none
  /// Most payload bytes of a segment; 0 unless ``segmentation`` says how to cut.
  public var segmentByteCount: UInt16 = 0
  /// Where the checksummed part begins, in bytes from the start of the frame; 0: not known, to be found in the headers.
  public var checksumStart: UInt16 = 0
  /// Where the checksum field is, in bytes from ``checksumStart``.
  public var checksumOffset: UInt16 = 0

  @inlinable public init() {}

  /// Nothing is left to do: every receiver takes the frame, as far as that is concerned.
  @inlinable public var isComplete: Bool { @inline(__always) get { segmentation == .none && !needsChecksum } }
}

/// What a receiver of frames is able to take.
@frozen public struct FrameCapabilities: OptionSet, Sendable, Hashable {
  public let rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Frames of more than one page (`feature-sg`).
  public static let scatterGather = FrameCapabilities(rawValue: 1)
  /// TCP and UDP over IPv4 without a checksum (absence of `feature-no-csum-offload`).
  public static let checksumV4 = FrameCapabilities(rawValue: 2)
  /// TCP and UDP over IPv6 without a checksum (`feature-ipv6-csum-offload`).
  public static let checksumV6 = FrameCapabilities(rawValue: 4)
  /// Large TCP over IPv4 (`feature-gso-tcpv4`).
  public static let segmentationV4 = FrameCapabilities(rawValue: 8)
  /// Large TCP over IPv6 (`feature-gso-tcpv6`).
  public static let segmentationV6 = FrameCapabilities(rawValue: 16)
  /// Everything above: all that a vif can say of itself.
  public static let all: FrameCapabilities = [.scatterGather, .checksumV4, .checksumV6, .segmentationV4, .segmentationV6]
  /// Several UDP datagrams over IPv4 in one frame (`VIRTIO_NET_F_GUEST_USO4`).
  public static let datagramsV4 = FrameCapabilities(rawValue: 32)
  /// Several UDP datagrams over IPv6 in one frame (`VIRTIO_NET_F_GUEST_USO6`).
  public static let datagramsV6 = FrameCapabilities(rawValue: 64)
  /// Both of them.
  public static let datagrams: FrameCapabilities = [.datagramsV4, .datagramsV6]
}
