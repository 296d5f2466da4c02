public import NetPackets

/// What a port of a switch lets through.
public struct SwitchPortConfiguration: Sendable, Equatable {
  /// The VLAN that the port is in, 1 to 4094: its frames are untagged, and only those of that VLAN come. Nil: a trunk, with untagged
  /// frames as they are, and tagged ones with their tag.
  public var vlan: UInt16?
  /// The VLANs of a trunk; nil: all. Others neither come nor go.
  public var trunk: VLANSet?
  /// The only address that may send from the port; nil: any.
  public var address: MACAddress?

  public init(vlan: UInt16? = nil, trunk: VLANSet? = nil, address: MACAddress? = nil) {
    self.vlan = vlan
    self.trunk = trunk
    self.address = address
  }
}

/// What went through a port of a switch, seen from the switch, and what did not by reason.
public struct SwitchPortCounters: Sendable, Equatable {
  /// Frames from the port, whatever became of them.
  public var received = NetPortTraffic.Count()
  /// Frames to the port.
  public var sent = NetPortTraffic.Count()
  /// Frames from the port whose sender was not the port's address.
  public var spoofed: UInt64 = 0
  /// Frames from the port with a tag that it may not use.
  public var wrongVLAN: UInt64 = 0
  /// Frames to the port that its receiver had no room for, or did not take.
  public var refused: UInt64 = 0
  /// Frames from the port that nobody is there for, or that nobody had room for.
  public var unreachable: UInt64 = 0
  /// Frames from the port that are shorter than an Ethernet header.
  public var malformed: UInt64 = 0

  public init() {}

  var traffic: NetPortTraffic {
    NetPortTraffic(
      taken: received, delivered: sent,
      drops: ["spoofed": spoofed, "wrong_vlan": wrongVLAN, "refused": refused, "unreachable": unreachable, "malformed": malformed])
  }
}
