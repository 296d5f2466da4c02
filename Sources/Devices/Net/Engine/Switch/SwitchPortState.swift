import NetPackets
import SharedMemory

/// What a switch knows of one of its ports.
final class SwitchPortState {
  let vlan: UInt16?
  let address: MACAddress?
  private let trunk: VLANSet?
  weak var port: SwitchPort?
  /// What is behind the port, for an uplink.
  var uplink: SwitchUplink?
  /// The vif has a place of its own, from which it is lent: taken out of a property, an object is retained for each frame.
  private let clients = ObjectSlots<NetPortClient>(count: 1)
  /// Where its last frames went.
  let flows = KnownFlows()
  let state = FixedCell(State())

  /// What is looked at or changes with each frame. Apart from the object, so that no access is checked for overlapping others.
  struct State {
    var counters = SwitchPortCounters()
    /// What the vif or the uplink takes, from when it is connected.
    var accepting = FrameCapabilities.all
    var hasClient = false
    /// Frames were handed over since the last end of a batch.
    var isTouched = false
  }

  /// The vif that is connected; nil for an uplink, and while there is none.
  var client: NetPortClient? {
    get { clients[0] }
    set {
      clients[0] = newValue
      state.value.hasClient = newValue != nil
    }
  }

  /// Lends the vif to `body`; nil when there is none.
  @inline(__always) @discardableResult func withClient<Result>(_ body: (NetPortClient) -> Result) -> Result? { clients.withObject(0, body) }

  var isOccupied: Bool { @inline(__always) get { state.value.hasClient || uplink != nil } }

  init(_ configuration: SwitchPortConfiguration) {
    vlan = configuration.vlan
    trunk = configuration.trunk
    address = configuration.address
  }

  /// Whether a trunk has frames of this VLAN; 0: untagged ones.
  func carries(_ vlan: UInt16) -> Bool { trunk?.contains(vlan) ?? true }
}
