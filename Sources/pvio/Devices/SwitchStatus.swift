import DriverCommands
import EventLoop
import NetEngine

/// What a switch says of itself and its uplink, in its status file.
struct SwitchStatus: Codable, Equatable {
  struct Uplink: Codable, Equatable {
    /// As the user wrote it.
    var spec: String
    var carrier: Bool
    /// What the switch has counted: frames from the uplink, frames to it.
    var at_switch: PortTraffic
    /// What the port behind it has counted, the other way round.
    var port: PortTraffic?
  }

  var name: String
  var learning: Bool
  var uplink: Uplink?
}

extension SwitchStatus {
  init(_ virtualSwitch: VirtualSwitch, name: String, uplink: String?) {
    self.init(name: name, learning: virtualSwitch.learns)
    guard let uplink, let (port, traffic) = virtualSwitch.uplinks.first else { return }
    self.uplink = Uplink(
      spec: uplink, carrier: port.hasCarrier, at_switch: PortTraffic(traffic), port: port.traffic.map(PortTraffic.init))
  }

  /// For people.
  var lines: [String] {
    var lines = ["switch \(name): \(learning ? "learns addresses" : "addresses of its ports only")"]
    if let uplink {
      lines.append("  uplink:    \(uplink.spec), \(uplink.carrier ? "up" : "down")")
      lines += uplink.at_switch.lines("  at switch: ")
      if let port = uplink.port { lines += port.lines("  port:      ") }
    }
    return lines
  }
}
