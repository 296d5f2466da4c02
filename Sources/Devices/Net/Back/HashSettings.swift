import NetInterface
import NetPackets
import XenInterface

/// How a front-end wants frames spread over its queues (control requests 1 to 7).
struct HashSettings {
  static let knownTypes: NetifHashTypes = [.ipv4, .ipv4TCP, .ipv6, .ipv6TCP]
  var algorithm = NetifHashAlgorithm.none
  var types: NetifHashTypes = []
  /// Queue by remainder of the hash; empty: the remainder of hash and queue count.
  var mapping: [Int] = []
  private var toeplitz = ToeplitzHash(key: [])

  var isActive: Bool { algorithm == .toeplitz }

  /// Puts a Toeplitz key in force; a shorter one than the longest is continued with zeros.
  mutating func setKey(_ key: [UInt8]) { toeplitz = ToeplitzHash(key: key) }

  /// The hash of a frame; nil when it has none of the headers that the front-end wants hashed.
  func hash(of frame: Frame) -> FrameHash? {
    let headers = FrameHeaders(of: frame)
    let type: NetifHashType
    switch headers.network {
    case .none: return nil
    case .ipv4:
      guard let found = choose(.ipv4TCP, .ipv4TCP, .ipv4, .ipv4, headers) else { return nil }
      type = found
    case .ipv6:
      guard let found = choose(.ipv6TCP, .ipv6TCP, .ipv6, .ipv6, headers) else { return nil }
      type = found
    }
    return FrameHash(type: type, value: toeplitz.hash(of: frame, headers, ports: type == .ipv4TCP || type == .ipv6TCP))
  }

  /// The type that covers most of the frame's headers.
  private func choose(
    _ withPorts: NetifHashTypes, _ portsType: NetifHashType, _ addresses: NetifHashTypes, _ addressesType: NetifHashType, _ headers: FrameHeaders
  ) -> NetifHashType? {
    if headers.transport == .tcp, types.contains(withPorts) { return portsType }
    return types.contains(addresses) ? addressesType : nil
  }

  /// The queue for a hash. A frame without one goes where the hash 0 goes, as in Linux (`xenvif_select_queue`).
  func queue(for hash: FrameHash?, queueCount: Int) -> Int {
    let value = Int(hash?.value ?? 0)
    return mapping.isEmpty ? value % queueCount : mapping[value % mapping.count]
  }
}
