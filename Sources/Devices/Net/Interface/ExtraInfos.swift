public import NetPackets
public import XenInterface

/// What the extra infos of one frame say together. Of several with the same type, the last one counts, as for Linux.
@frozen public struct ExtraInfos: Sendable, Equatable {
  /// What is wrong with an extra info.
  public enum Fault: Error, Sendable, Equatable {
    /// Type 0, or one that neither Xen's nor Linux's header has.
    case type(UInt8)
    /// A frame to be cut into segments of no bytes.
    case emptySegments
    /// A way to cut a frame that does not exist, or none at all.
    case segmentationType(UInt8)
  }

  /// How the frame is to be cut.
  public var segmentation = FrameOffload.Segmentation.none
  /// Most payload bytes of a segment; not 0 when there is a ``segmentation``.
  public var segmentByteCount: UInt16 = 0
  public var hash: FrameHash?
  /// An address to be added to the multicast filter. Whether it is a multicast address is not checked.
  public var multicastAddition: MACAddress?
  /// An address to be removed from the multicast filter.
  public var multicastRemoval: MACAddress?
  /// Bytes before the data of a received frame, not checked; nil: nothing was said about it.
  public var headroomByteCount: Int?

  @inlinable public init() {}

  /// The frame is only a message about the multicast filter.
  @inlinable public var isMulticastChange: Bool { multicastAddition != nil || multicastRemoval != nil }

  /// Takes in one more extra info. Returns whether another one follows. Throws what is wrong with it; unknown contents of a
  /// known type are skipped.
  @inlinable public mutating func add(_ extra: NetifExtraInfo) throws(Fault) -> Bool {
    switch NetifExtraType(rawValue: extra.type) {
    case nil, .some(.none): throw .type(extra.type)
    case .segmentation: try addSegmentation(NetifExtraSegmentation(slot: extra))
    case .multicastAdd: multicastAddition = MACAddress(NetifExtraMulticast(slot: extra))
    case .multicastRemove: multicastRemoval = MACAddress(NetifExtraMulticast(slot: extra))
    case .hash: hash = FrameHash(NetifExtraHash(slot: extra))
    case .headroom: headroomByteCount = Int(NetifExtraHeadroom(slot: extra).byteCount)
    }
    return NetifExtraFlags(rawValue: extra.flags).contains(.more)
  }

  @inlinable mutating func addSegmentation(_ extra: NetifExtraSegmentation) throws(Fault) {
    guard extra.segmentByteCount > 0 else { throw .emptySegments }
    switch NetifSegmentationType(rawValue: extra.segmentationType) {
    case .tcpv4: segmentation = .tcpv4
    case .tcpv6: segmentation = .tcpv6
    case nil, .some(.none): throw .segmentationType(extra.segmentationType)
    }
    segmentByteCount = extra.segmentByteCount
  }
}

// MARK: - Writing

extension NetifExtraInfo {
  /// Says how the frame is to be cut; nil when it is not.
  @inlinable init?(segmentationOf offload: FrameOffload, followed more: Bool) {
    var extra = NetifExtraSegmentation()
    switch offload.segmentation {
    case .none: return nil
    case .tcpv4: extra.segmentationType = NetifSegmentationType.tcpv4.rawValue
    case .tcpv6: extra.segmentationType = NetifSegmentationType.tcpv6.rawValue
    case .datagrams: preconditionFailure("a way to cut a frame that no vif says it takes")
    }
    precondition(offload.segmentByteCount > 0, "segments of no bytes")
    extra.type = NetifExtraType.segmentation.rawValue
    extra.flags = more ? NetifExtraFlags.more.rawValue : 0
    extra.segmentByteCount = offload.segmentByteCount
    self.init(extra)
  }

  @inlinable init(_ hash: FrameHash, followed more: Bool) {
    var extra = NetifExtraHash()
    extra.type = NetifExtraType.hash.rawValue
    extra.flags = more ? NetifExtraFlags.more.rawValue : 0
    extra.hashType = hash.type.rawValue
    extra.algorithm = hash.algorithm.rawValue
    extra.value = hash.value
    self.init(extra)
  }

  @inlinable init(headroomByteCount: Int) {
    var extra = NetifExtraHeadroom()
    extra.type = NetifExtraType.headroom.rawValue
    extra.byteCount = UInt16(headroomByteCount)
    self.init(extra)
  }

  /// - Parameter type: `multicastAdd` or `multicastRemove`.
  init(_ type: NetifExtraType, _ address: MACAddress) {
    var extra = NetifExtraMulticast()
    extra.type = type.rawValue
    for index in 0..<6 { extra.setAddressByte(UInt8(truncatingIfNeeded: address.rawValue >> UInt64(40 - 8 * index)), at: index) }
    self.init(extra)
  }
}

extension MACAddress {
  @inlinable init(_ extra: NetifExtraMulticast) {
    var number: UInt64 = 0
    for index in 0..<6 { number = number &<< 8 | UInt64(extra.addressByte(at: index)) }
    self.init(rawValue: number)
  }
}
