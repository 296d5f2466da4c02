import DriverCommands
import EventLoop
import NetEngine

/// What a switch says of itself and its uplink, for `pvio status`, in a file that is replaced in one step.
struct SwitchStatusFile {
  let path: String
  let name: String
  /// The uplink as the user wrote it.
  let uplink: String?

  struct Contents: Codable, Equatable {
    struct Uplink: Codable, Equatable {
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

  /// Writes the switch's status whenever it has changed, until the task is cancelled.
  func keepWriting(_ virtualSwitch: LoopConfined<VirtualSwitch>) async {
    var last: Contents?
    while !Task.isCancelled {
      let contents = await virtualSwitch.loop.run { [name, uplink] in Contents(virtualSwitch.value, name: name, uplink: uplink) }
      if contents != last {
        // As for devices: a full disk must not stop the service.
        try? writeJSON(contents, to: path)
        last = contents
      }
      try? await Task.sleep(for: .milliseconds(500))
    }
  }
}

extension SwitchStatusFile.Contents {
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
