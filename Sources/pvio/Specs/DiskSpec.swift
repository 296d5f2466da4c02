import BlockInterface
import DriverCommands
import Glibc

/// What a disk is served from and how (`--disk SPEC`).
struct DiskSpec: Sendable, Equatable {
  enum Backing: Sendable, Equatable {
    /// An image file or a host block device.
    case file(path: String)
    /// Memory of the back-end process, zero at the start.
    case ram(byteCount: UInt64)
    /// Reads nothing, keeps nothing: for measuring everything else.
    case null(byteCount: UInt64)
    /// A program that is called for each read and write.
    case script(path: String)
  }

  /// How the disk is reached: over rings and from there by NBD, over rings only, or by a VMM on a vhost-user socket.
  enum Export: String, Sendable {
    case nbd, none
    case vhostUser = "vhost-user"
  }

  var backing: Backing
  var isReadOnly: Bool
  var usesDirectIO: Bool
  var queueCount: Int
  var sectorByteCount: Int
  var requestsPerSecond: UInt64?
  var bytesPerSecond: UInt64?
  /// In which units the guest's driver counts larger sectors.
  var frontendFamily: FrontendFamily
  var id: String?
  /// Nil: as the command that it is for likes it.
  var export: Export?
  /// As the user wrote it, to be handed on.
  var text: String

  static let keys: [KeyValueSpec.Key] = [
    .init(name: "file", expectation: "PATH           an image file or block device"),
    .init(name: "ram", expectation: "SIZE            memory of the back-end, lost with it"),
    .init(name: "null", expectation: "SIZE           keeps nothing"),
    .init(name: "script", expectation: "PATH         a program that reads and writes (docs/scripted-back-ends.md)"),
    .init(name: "format", expectation: "raw          the only format"),
    .init(name: "readonly", expectation: "on|off     refuse writes (off)"),
    .init(name: "direct", expectation: "on|off       bypass the page cache (on)"),
    .init(name: "queues", expectation: "N            most queues to offer, 1 to 16 (4)"),
    .init(name: "sector-size", expectation: "512|4096 logical sector size (512)"),
    .init(name: "iops", expectation: "N              most requests a second, on average"),
    .init(name: "bps", expectation: "SIZE            most bytes a second that are read and written, on average"),
    .init(name: "frontend", expectation: "linux|freebsd|minios|windows  whose units, with 4096-byte sectors (linux)"),
    .init(name: "id", expectation: "NAME             name under the run directory"),
    .init(name: "export", expectation: "nbd|vhost-user|none  how the disk is reached (nbd)"),
  ]

  init(_ text: String, option: String = "--disk") throws {
    let spec = try KeyValueSpec(text, option: option, keys: Self.keys)
    self.text = text
    let ram = try spec.byteCount("ram")
    let null = try spec.byteCount("null")
    switch (spec["file"], ram, null, spec["script"]) {
    case (let path?, nil, nil, nil): backing = .file(path: path)
    case (nil, let count?, nil, nil): backing = .ram(byteCount: count)
    case (nil, nil, let count?, nil): backing = .null(byteCount: count)
    case (nil, nil, nil, let path?): backing = .script(path: path)
    default: throw CommandFailure.usage("\(option) \(text): expected exactly one of file=, ram=, null= and script=")
    }
    if let format = spec["format"], format != "raw" { throw spec.bad("format", format, "raw") }
    isReadOnly = try spec.flag("readonly", default: false)
    usesDirectIO = try spec.flag("direct", default: true)
    queueCount = try spec.number("queues", in: 1...16, default: 4)
    sectorByteCount = try spec.number("sector-size", in: 512...4096, default: 512)
    guard sectorByteCount == 512 || sectorByteCount == 4096 else { throw spec.bad("sector-size", "\(sectorByteCount)", "512 or 4096") }
    requestsPerSecond = try spec["iops"] == nil ? nil : UInt64(spec.number("iops", in: 1...1_000_000_000, default: 1))
    bytesPerSecond = try spec.byteCount("bps")
    if let count = bytesPerSecond, count > 1 << 40 { throw spec.bad("bps", "\(count)", "at most 1T") }
    frontendFamily = try spec["frontend"].map { text in
      guard let family = FrontendFamily(rawValue: text) else { throw spec.bad("frontend", text, "linux, freebsd, minios or windows") }
      return family
    } ?? .linux
    id = try spec["id"].map { try spec.name("id", $0) }
    export = try spec["export"].map { text in
      guard let export = Export(rawValue: text) else { throw spec.bad("export", text, "nbd, vhost-user or none") }
      return export
    }
  }

  /// Takes a `--disk` argument apart. An image named relative to us is named in full afterwards: other processes get it.
  static func parse(_ text: String, option: String = "--disk") throws -> DiskSpec {
    var spec = try DiskSpec(text, option: option)
    let key: String
    let full: String
    switch spec.backing {
    case .file(let path):
      (key, full) = ("file=", inFull(path))
      spec.backing = .file(path: full)
    case .script(let path):
      (key, full) = ("script=", inFull(path))
      spec.backing = .script(path: full)
    case .ram, .null: return spec
    }
    spec.text = text.split(separator: ",").map { $0.hasPrefix(key) ? key + full : String($0) }.joined(separator: ",")
    return spec
  }

  /// A path that means the same to a process with another working directory.
  static func inFull(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    var buffer = [CChar](repeating: 0, count: 4096)
    // SAFETY: at most `buffer.count` bytes are written, the last of them zero.
    guard unsafe getcwd(&buffer, buffer.count) != nil else { return path }
    let directory = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return "\(directory)/\(path)"
  }

  /// What libxl calls the source in the back-end's `params`.
  var parameters: String {
    switch backing {
    case .file(let path): path
    case .ram(let count): "ram:\(count)"
    case .null(let count): "null:\(count)"
    case .script(let path): "script:\(path)"
    }
  }
}
