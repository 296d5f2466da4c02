import DriverCommands

/// What `pvio run` puts in the place of `{disk0}` and the like in its command.
///
/// - `{disk0}`, `{net0}`, also with options for QEMU's `-device` (`{disk0,packed=on}`): all arguments that give a guest the device;
///   alone in an argument
/// - `{disk0.socket}`, `{net0.mac}`: a part of it, anywhere in an argument
/// - `{memory:512M}`: the arguments of memory that can be shared; alone in an argument
///
/// Braces around anything else stay as they are: QEMU takes JSON.
struct Placeholders {
  /// What stands between a pair of braces.
  enum Reference: Equatable {
    case device(name: String, options: String?)
    case socket(name: String)
    case mac(name: String)
    case memory(size: String)

    init?(_ text: Substring) {
      if text.hasPrefix("memory:") {
        self = .memory(size: String(text.dropFirst("memory:".count)))
        return
      }
      let name = text.prefix { $0 != "." && $0 != "," }
      guard let kind = ["disk", "net"].first(where: { name.hasPrefix($0) }), UInt8(name.dropFirst(kind.count)) != nil else { return nil }
      let rest = text.dropFirst(name.count)
      if rest.isEmpty {
        self = .device(name: String(name), options: nil)
      } else if rest.hasPrefix(",") {
        self = .device(name: String(name), options: String(rest.dropFirst()))
      } else if rest == ".socket" {
        self = .socket(name: String(name))
      } else if rest == ".mac" {
        self = .mac(name: String(name))
      } else {
        return nil
      }
    }
  }

  var vmm: VMM?
  var devices: [VMM.Device]

  /// The names of the devices that a command asks for, such as `disk0`.
  static func devices(namedIn command: [String]) -> Set<String> {
    var names: Set<String> = []
    for argument in command {
      for (reference, _) in references(in: argument) {
        switch reference {
        case .device(let name, _), .socket(let name): names.insert(name)
        case .mac, .memory: break
        }
      }
    }
    return names
  }

  /// The command with everything put in.
  func fill(_ command: [String]) throws -> [String] {
    var result: [String] = []
    for argument in command { result += try fill(argument) }
    return result
  }

  private func fill(_ argument: String) throws -> [String] {
    var text = ""
    var rest = argument[...]
    for (reference, range) in Self.references(in: argument) {
      switch reference {
      case .device, .memory:
        guard range == argument.startIndex..<argument.endIndex else {
          throw CommandFailure.usage("run: \(argument[range]) stands for several arguments: write it as one of its own")
        }
        return try arguments(of: reference)
      case .socket(let name): text += argument[rest.startIndex..<range.lowerBound] + (try device(name).socketPath)
      case .mac(let name): text += argument[rest.startIndex..<range.lowerBound] + (try device(name).mac ?? "")
      }
      rest = argument[range.upperBound...]
    }
    return [text + rest]
  }

  private func arguments(of reference: Reference) throws -> [String] {
    guard let vmm else {
      throw CommandFailure.usage(
        "run: {disk0}, {net0} and {memory:SIZE} are for commands that start with qemu or cloud-hypervisor; "
          + "others can have {disk0.socket} or PVIO_DISK0_VHOST_USER")
    }
    switch reference {
    case .device(let name, let options): return vmm.arguments(for: try device(name), options: options)
    case .memory(let size): return vmm.memoryArguments(size)
    case .socket, .mac: return []
    }
  }

  private func device(_ name: String) throws -> VMM.Device {
    if let device = devices.first(where: { $0.name == name }) { return device }
    let known = devices.map(\.name).joined(separator: ", ")
    throw CommandFailure.usage("run: the command names {\(name)}, which is not there; with export=vhost-user there is \(known.isEmpty ? "none" : known)")
  }

  /// Every reference of an argument, in order, with where it stands.
  private static func references(in argument: String) -> [(Reference, Range<String.Index>)] {
    var result: [(Reference, Range<String.Index>)] = []
    var start = argument.startIndex
    while let open = argument[start...].firstIndex(of: "{") {
      let inside = argument[argument.index(after: open)...]
      guard let close = inside.firstIndex(of: "}") else { break }
      if let reference = Reference(inside[..<close]) {
        let end = argument.index(after: close)
        result.append((reference, open..<end))
        start = end
      } else {
        start = argument.index(after: open)
      }
    }
    return result
  }
}
