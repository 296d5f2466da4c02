public import VirtioInterface

extension VirtioFeatures {
  /// The VMM wants writes marked in the dirty log (`VHOST_F_LOG_ALL`, linux/vhost_types.h); not the guest's.
  public static var logAll: VirtioFeatures { VirtioFeatures(rawValue: 1 << 26) }
  /// There are ``VhostUserFeatures`` (`VHOST_USER_F_PROTOCOL_FEATURES`); not the guest's.
  public static var protocolFeatures: VirtioFeatures { VirtioFeatures(rawValue: 1 << 30) }

  /// What every device here can do.
  static var offeredByAll: VirtioFeatures { [.logAll, .indirectDescriptors, .eventIndex, .protocolFeatures, .version1, .ringPacked] }
}

/// Parts of the vhost-user protocol that both ends have to want (`VHOST_USER_PROTOCOL_F_*`).
public struct VhostUserFeatures: OptionSet, Sendable, Hashable {
  public let rawValue: UInt64
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  public static let multipleQueues = VhostUserFeatures(rawValue: 1 << 0)
  public static let logSharedMemory = VhostUserFeatures(rawValue: 1 << 1)
  public static let rarp = VhostUserFeatures(rawValue: 1 << 2)
  public static let acknowledgements = VhostUserFeatures(rawValue: 1 << 3)
  public static let mtu = VhostUserFeatures(rawValue: 1 << 4)
  public static let backendChannel = VhostUserFeatures(rawValue: 1 << 5)
  public static let configuration = VhostUserFeatures(rawValue: 1 << 9)
  public static let inflight = VhostUserFeatures(rawValue: 1 << 12)
  public static let resetDevice = VhostUserFeatures(rawValue: 1 << 13)
  public static let memorySlots = VhostUserFeatures(rawValue: 1 << 15)
  public static let status = VhostUserFeatures(rawValue: 1 << 16)

  /// What every device here can do.
  static let all: VhostUserFeatures = [
    .multipleQueues, .logSharedMemory, .acknowledgements, .backendChannel, .configuration, .inflight, .resetDevice, .memorySlots, .status,
  ]
}
