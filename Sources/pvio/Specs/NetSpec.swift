import DriverCommands
import NetEngine
import NetPackets
import NetTap

/// What a network interface is connected to and how (`--net SPEC`).
struct NetSpec: Sendable, Equatable {
  enum Backing: Sendable, Equatable {
    /// A TAP interface of the host, made if it is not there.
    case tap(InterfaceName)
    /// A port of the switch of this name.
    case virtualSwitch(String)
    /// An interface that the host has anyway, through a packet socket.
    case packet(InterfaceName)
    /// Takes every frame, delivers none: for measuring everything else.
    case null
  }

  /// How 'run' makes the guest's end reachable.
  enum Export: Sendable, Equatable {
    case none
    /// To a VMM on a vhost-user socket.
    case vhostUser
    /// As a TAP interface, in a network namespace of its own or ours.
    case tap(InterfaceName, namespace: String?)
  }

  var backing: Backing
  /// Of the TAP interface.
  var namespace: String?
  /// The guest's address; nil: one of Xen's range is made up.
  var mac: MACAddress?
  var queueCount: Int
  var mtu: Int?
  /// The `rate` key's value: bytes, microseconds.
  var rate: String?
  /// The VLAN of a switch port; nil: untagged.
  var vlan: Int?
  /// The VLANs of a trunk port of a switch, as the user wrote them; nil: all.
  var trunk: String?
  /// A file that everything that passes is recorded to.
  var recording: String?
  var id: String?
  /// Nil: as the command that it is for likes it.
  var export: Export?
  /// As the user wrote it, to be handed on.
  var text: String

  static let keys: [KeyValueSpec.Key] = [
    .init(name: "tap", expectation: "NAME            a TAP interface of the host, made if it is not there"),
    .init(name: "switch", expectation: "NAME         a port of the built-in switch of that name"),
    .init(name: "packet", expectation: "NAME         an interface that the host has anyway, through a packet socket"),
    .init(name: "null", expectation: "               takes everything, delivers nothing", isFlag: true),
    .init(name: "netns", expectation: "NAME          network namespace of the TAP interface"),
    .init(name: "mac", expectation: "aa:bb:cc:dd:ee:ff  the guest's address (made up)"),
    .init(name: "queues", expectation: "N            most queues to offer, 1 to 16 (1)"),
    .init(name: "mtu", expectation: "N               largest packet in bytes (1500)"),
    .init(name: "rate", expectation: "BYTES,USEC     what the guest may send, on average", takesPair: true),
    .init(name: "vlan", expectation: "N              VLAN of the switch port, 1 to 4094"),
    .init(name: "trunk", expectation: "10+20-29+untagged  what a switch port that is a trunk carries (all)"),
    .init(name: "pcap", expectation: "PATH           record what passes to this file"),
    .init(name: "id", expectation: "NAME             name under the run directory"),
    .init(name: "export", expectation: "tap:NAME[@NETNS]|vhost-user|none  how the guest's end is reached (none)"),
  ]

  /// The option that connects a switch, whose VLANs are then the uplink's.
  static let uplinkOption = "--uplink"

  init(_ text: String, option: String = "--net") throws {
    let spec = try KeyValueSpec(text, option: option, keys: Self.keys)
    self.text = text
    func interface(_ key: String, _ name: String) throws -> InterfaceName {
      guard let name = InterfaceName(name) else { throw spec.bad(key, name, "an interface name of 1 to 15 characters") }
      return name
    }
    switch (spec["tap"], spec["switch"], spec["packet"], spec["null"]) {
    case (let name?, nil, nil, nil): backing = .tap(try interface("tap", name))
    case (nil, let name?, nil, nil): backing = .virtualSwitch(try spec.name("switch", name))
    case (nil, nil, let name?, nil): backing = .packet(try interface("packet", name))
    case (nil, nil, nil, _?): backing = .null
    default: throw CommandFailure.usage("\(option) \(text): expected exactly one of tap=, switch=, packet= and null")
    }
    namespace = spec["netns"]
    mac = try spec["mac"].map { text in
      guard let address = MACAddress(text), !address.isMulticast else { throw spec.bad("mac", text, "an address such as 00:16:3e:12:34:56") }
      return address
    }
    queueCount = try spec.number("queues", in: 1...16, default: 1)
    mtu = try spec["mtu"] == nil ? nil : spec.number("mtu", in: 68...65517, default: 1500)
    rate = spec["rate"]
    if let rate, RateLimit(rate) == nil { throw spec.bad("rate", rate, "bytes and microseconds such as 1250000,100000") }
    vlan = try spec["vlan"] == nil ? nil : spec.number("vlan", in: 1...4094, default: 1)
    trunk = spec["trunk"]
    if let trunk, VLANSet(trunk) == nil { throw spec.bad("trunk", trunk, "VLANs such as 10+20-29+untagged") }
    if vlan != nil, trunk != nil { throw CommandFailure.usage("\(option) \(text): vlan= and trunk= exclude each other") }
    recording = spec["pcap"]
    id = try spec["id"].map { try spec.name("id", $0) }
    export = try Self.export(spec)
    if case .virtualSwitch = backing {} else if option != Self.uplinkOption {
      if vlan != nil { throw CommandFailure.usage("\(option) \(text): vlan= is for a switch port") }
      if trunk != nil { throw CommandFailure.usage("\(option) \(text): trunk= is for a switch port") }
    }
    switch backing {
    case .tap, .packet: break
    case .virtualSwitch, .null:
      if namespace != nil { throw CommandFailure.usage("\(option) \(text): netns= is for an interface of the host") }
    }
  }

  private static func export(_ spec: KeyValueSpec) throws -> Export? {
    guard let text = spec["export"] else { return nil }
    if text == "none" { return Export.none }
    if text == "vhost-user" { return .vhostUser }
    let parts = text.dropFirst("tap:".count).split(separator: "@", maxSplits: 1)
    guard text.hasPrefix("tap:"), let name = parts.first.flatMap({ InterfaceName(String($0)) }) else {
      throw spec.bad("export", text, "tap:NAME, tap:NAME@NETNS, vhost-user or none")
    }
    return .tap(name, namespace: parts.count > 1 ? String(parts[1]) : nil)
  }

  /// What stands before the name of an interface that is no TAP interface.
  static let packetPrefix = "packet:"

  /// The VLANs of the switch port.
  var portConfiguration: SwitchPortConfiguration { SwitchPortConfiguration(vlan: vlan.map(UInt16.init), trunk: trunk.flatMap(VLANSet.init)) }

  /// What the store says the device is connected to (`bridge`): a name for people, and the switch's for its process.
  var connection: String {
    switch backing {
    case .tap(let name): name.description
    case .packet(let name): Self.packetPrefix + name.description
    case .virtualSwitch(let name): name
    case .null: "null"
    }
  }
}
