import NetPackets
import XenInterface

/// Frames made by hand, field by field.
enum Frames {
  static let guest: [UInt8] = [2, 0, 0, 0, 0, 7]
  static let host: [UInt8] = [2, 0, 0, 0, 0, 1]

  /// A frame that is nothing but Ethernet; bytes count up, so that each place can be told.
  static func ethernet(byteCount: Int, to destination: [UInt8] = host, seed: Int = 0) -> [UInt8] {
    let header = destination + guest + [0x88, 0xb5]
    if byteCount <= header.count { return Array(header[..<byteCount]) }
    return header + pattern[seed % 4096..<seed % 4096 + byteCount - header.count]
  }

  /// Bytes that tell where in a frame they were.
  private static let pattern = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }

  static func ipv4(
    protocol number: UInt8, payload: [UInt8], source: [UInt8] = [10, 0, 0, 7], destination: [UInt8] = [10, 0, 0, 1], options: Int = 0
  ) -> [UInt8] {
    let length = 20 + options + payload.count
    return host + guest + [8, 0, 0x40 | UInt8((20 + options) / 4), 0, UInt8(length >> 8), UInt8(length & 255), 0, 1, 0x40, 0, 64, number, 0, 0]
      + source + destination + [UInt8](repeating: 1, count: options) + payload
  }

  static func ipv6(
    protocol number: UInt8, payload: [UInt8], source: [UInt8] = [UInt8](repeating: 0xfd, count: 16),
    destination: [UInt8] = [UInt8](repeating: 0xfe, count: 16)
  ) -> [UInt8] {
    host + guest + [0x86, 0xdd, 0x60, 0, 0, 0, UInt8(payload.count >> 8), UInt8(payload.count & 255), number, 64] + source + destination + payload
  }

  static func tcp(from source: UInt16 = 1000, to destination: UInt16 = 80, payload: Int) -> [UInt8] {
    ports(source, destination) + [0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0] + (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 3) }
  }

  static func udp(from source: UInt16 = 1000, to destination: UInt16 = 53, payload: Int) -> [UInt8] {
    ports(source, destination) + [UInt8((payload + 8) >> 8), UInt8((payload + 8) & 255), 0, 0] + (0..<payload).map { UInt8(truncatingIfNeeded: $0) }
  }

  private static func ports(_ source: UInt16, _ destination: UInt16) -> [UInt8] {
    [UInt8(source >> 8), UInt8(source & 255), UInt8(destination >> 8), UInt8(destination & 255)]
  }

  static let tcp4 = ipv4(protocol: 6, payload: tcp(payload: 900))
  static let udp4 = ipv4(protocol: 17, payload: udp(payload: 900))
  static let tcp6 = ipv6(protocol: 6, payload: tcp(payload: 900))
  static let udp6 = ipv6(protocol: 17, payload: udp(payload: 900))

  static func segmentation(_ type: UInt8 = 1, size: UInt16 = 1448) -> NetifExtraInfo {
    var extra = NetifExtraSegmentation()
    extra.type = NetifExtraType.segmentation.rawValue
    extra.segmentByteCount = size
    extra.segmentationType = type
    return NetifExtraInfo(extra)
  }

  static func multicast(_ type: NetifExtraType, _ address: [UInt8]) -> NetifExtraInfo {
    var extra = NetifExtraMulticast()
    extra.type = type.rawValue
    for index in 0..<6 { extra.setAddressByte(address[index], at: index) }
    return NetifExtraInfo(extra)
  }

  static func other(type: UInt8) -> NetifExtraInfo {
    var extra = NetifExtraInfo()
    extra.type = type
    return extra
  }

  static func offload(_ segmentation: FrameOffload.Segmentation = .none, size: UInt16 = 0, needsChecksum: Bool = true) -> FrameOffload {
    var offload = FrameOffload()
    offload.needsChecksum = needsChecksum
    offload.segmentation = segmentation
    offload.segmentByteCount = size
    return offload
  }
}
