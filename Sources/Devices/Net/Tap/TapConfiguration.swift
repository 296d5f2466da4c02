public import LinuxSystem
public import NetPackets

/// Which TAP interface, where, and what it is to be like.
public struct TapConfiguration: Sendable {
  /// Whether the interface is there already.
  public enum Opening: Sendable {
    /// Use the one that is there, else make one.
    case createOrAttach
    /// Make one; an interface of that name is an error.
    case create
    /// Use the one that is there; none is an error.
    case attach
  }

  public var name: InterfaceName
  /// Where the interface is; nil: the network namespace of this process.
  public var namespace: NetworkNamespace?
  public var opening = Opening.createOrAttach
  /// Queues, each of which a queue of the device is connected to; 1 to ``maximumQueueCount``.
  public var queueCount = 1
  /// Whether the interface stays when it is closed; nil leaves it as it is, which is no for a new one.
  public var isPersistent: Bool?
  /// Largest packet behind the Ethernet header in bytes, 68 to ``maximumMTU``. A new interface gets it (1500 without), another one must have it.
  public var mtu: Int?
  /// The interface's own address, which the host sends from; nil leaves what the kernel has chosen.
  public var address: MACAddress?
  /// Whether the interface is switched on when it is opened.
  public var isBroughtUp = true

  public init(_ name: InterfaceName) { self.name = name }

  /// What the kernel allows (`MAX_TAP_QUEUES`, Linux).
  public static let maximumQueueCount = 256
  /// So that a frame with a VLAN tag has no more than 65535 bytes, the most a vif carries.
  public static let maximumMTU = 65_517
}
