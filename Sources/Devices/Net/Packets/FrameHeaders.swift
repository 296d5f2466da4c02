public import SharedMemory

/// Where the headers of a frame are, as far as they lie in its private head: nothing else is looked at, so nobody can change
/// them afterwards.
@frozen public struct FrameHeaders: Sendable, Equatable {
  @frozen public enum Network: UInt8, Sendable { case none, ipv4, ipv6 }
  @frozen public enum Transport: UInt8, Sendable { case none, tcp, udp }

  public var network = Network.none
  /// What the packet carries; none also for fragments of a packet, whose transport header is elsewhere or incomplete.
  public var transport = Transport.none
  /// Where the IP header begins, in bytes from the start of the frame.
  public var networkOffset = 0
  /// Where the TCP or UDP header begins.
  public var transportOffset = 0
  /// Where the payload begins, behind the last header that was found.
  public var payloadOffset = 0

  @usableFromInline init() {}
}

extension FrameHeaders {
  /// Looks at the headers of `frame`. What does not fit its head, or contradicts itself, is not found.
  public init(of frame: Frame) {
    self.init()
    let head = frame.head
    let end = frame.headByteCount
    var offset = 12
    guard offset + 2 <= end else { return }
    var type = head.bigEndian16(at: offset)
    offset += 2
    // One or two tags: 802.1Q, 802.1ad.
    for _ in 0..<2 where type == EtherType.vlan || type == EtherType.serviceVLAN {
      guard offset + 4 <= end else { return }
      type = head.bigEndian16(at: offset + 2)
      offset += 4
    }
    payloadOffset = offset
    switch type {
    case EtherType.ipv4: findIPv4(in: head, at: offset, end: end)
    case EtherType.ipv6: findIPv6(in: head, at: offset, end: end)
    default: break
    }
  }

  private mutating func findIPv4(in head: SharedBytes, at offset: Int, end: Int) {
    guard offset + 20 <= end else { return }
    let versionAndLength = head.load8(at: offset)
    let byteCount = Int(versionAndLength & 15) * 4
    guard versionAndLength >> 4 == 4, byteCount >= 20, offset + byteCount <= end else { return }
    network = .ipv4
    networkOffset = offset
    payloadOffset = offset + byteCount
    // More fragments to come, or not the first one.
    guard head.bigEndian16(at: offset + 6) & 0x3fff == 0 else { return }
    findTransport(head.load8(at: offset + 9), in: head, at: payloadOffset, end: end)
  }

  private mutating func findIPv6(in head: SharedBytes, at offset: Int, end: Int) {
    guard offset + 40 <= end, head.load8(at: offset) >> 4 == 6 else { return }
    network = .ipv6
    networkOffset = offset
    var next = head.load8(at: offset + 6)
    var position = offset + 40
    payloadOffset = position
    // Each header is at least 8 bytes long and within the head, so this ends.
    while IPProtocol.isExtension(next) {
      guard position + 8 <= end else { return }
      let byteCount = (Int(head.load8(at: position + 1)) + 1) * 8
      guard position + byteCount <= end else { return }
      next = head.load8(at: position)
      position += byteCount
      payloadOffset = position
    }
    findTransport(next, in: head, at: position, end: end)
  }

  private mutating func findTransport(_ number: UInt8, in head: SharedBytes, at offset: Int, end: Int) {
    switch number {
    case IPProtocol.tcp:
      guard offset + 20 <= end else { return }
      let byteCount = Int(head.load8(at: offset + 12) >> 4) * 4
      guard byteCount >= 20, offset + byteCount <= end else { return }
      transport = .tcp
      payloadOffset = offset + byteCount
    case IPProtocol.udp:
      guard offset + 8 <= end else { return }
      transport = .udp
      payloadOffset = offset + 8
    default: return
    }
    transportOffset = offset
  }

  /// Whether a frame with these headers can be cut up in that way.
  func allow(_ segmentation: FrameOffload.Segmentation) -> Bool {
    switch segmentation {
    case .none: true
    case .tcpv4: network == .ipv4 && transport == .tcp
    case .tcpv6: network == .ipv6 && transport == .tcp
    case .datagrams: transport == .udp
    }
  }

  /// Where the checksum field is, in bytes from ``transportOffset``.
  @inlinable public var checksumOffset: Int {
    switch transport {
    case .tcp: 16
    case .udp: 6
    case .none: 0
    }
  }
}

/// Kinds of what an Ethernet frame carries (IEEE 802).
enum EtherType {
  static let ipv4: UInt16 = 0x0800
  static let ipv6: UInt16 = 0x86dd
  static let vlan: UInt16 = 0x8100
  static let serviceVLAN: UInt16 = 0x88a8
}

/// Numbers of what an IP packet carries (IANA).
enum IPProtocol {
  static let tcp: UInt8 = 6
  static let udp: UInt8 = 17

  /// A header of IPv6 that is followed by another one and says its length: hop-by-hop options, routing, destination options.
  static func isExtension(_ number: UInt8) -> Bool { number == 0 || number == 43 || number == 60 }
}

extension SharedBytes {
  /// Two bytes in the order of the network.
  @inlinable func bigEndian16(at offset: Int) -> UInt16 { UInt16(load8(at: offset)) << 8 | UInt16(load8(at: offset + 1)) }

  /// Four bytes in the order of the network.
  @inlinable func bigEndian32(at offset: Int) -> UInt32 { UInt32(bigEndian16(at: offset)) << 16 | UInt32(bigEndian16(at: offset + 2)) }

  @inlinable func storeBigEndian16(_ value: UInt16, at offset: Int) {
    store8(UInt8(value >> 8), at: offset)
    store8(UInt8(truncatingIfNeeded: value), at: offset + 1)
  }
}

extension Frame {
  /// Whether it is for a group of receivers, or all of them.
  @inlinable public var isMulticast: Bool { headByteCount > 0 && head.load8(at: 0) & 1 != 0 }

  /// Its Ethernet header and the two bytes behind it, as they are in memory: the receiver and two bytes of the sender; four bytes of the sender, the
  /// type, and two bytes of what follows. The head holds an Ethernet header.
  @inlinable public var ethernetHeader: (UInt64, UInt64) {
    @inline(__always) get { (head.load64(at: 0), head.load64(at: 8)) }
  }

  /// Its receiver. The head holds an Ethernet header.
  @inlinable public var destination: MACAddress { head.address(at: 0) }

  /// Its sender. The head holds an Ethernet header.
  @inlinable public var source: MACAddress { head.address(at: 6) }
}

extension SharedBytes {
  @inlinable @inline(__always) func address(at offset: Int) -> MACAddress {
    let high = UInt64(load16(at: offset).bigEndian) << 32
    return MACAddress(rawValue: high | UInt64(load16(at: offset + 2).bigEndian) << 16 | UInt64(load16(at: offset + 4).bigEndian))
  }
}
