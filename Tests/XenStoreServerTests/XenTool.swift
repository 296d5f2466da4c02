import Foundation

/// One of Debian's `xenstore-*` commands.
struct XenTool {
  /// What a finished command left.
  struct Outcome: Equatable {
    var status: Int32
    var output: String

    static func success(_ output: String) -> Outcome { Outcome(status: 0, output: output) }
  }

  /// A command that is still running.
  final class Running {
    private let process: Process
    private let output: Pipe
    private var buffer = Data()

    fileprivate init(process: Process, output: Pipe) {
      self.process = process
      self.output = output
    }

    /// Waits for the next line; nil at the end.
    func nextLine() -> String? {
      while true {
        if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
          defer { buffer = Data(buffer[buffer.index(after: end)...]) }
          return String(decoding: buffer[..<end], as: UTF8.self)
        }
        let more = output.fileHandleForReading.availableData
        if more.isEmpty { return nil }
        buffer.append(more)
      }
    }

    /// Everything up to the end, both streams.
    func rest() -> String {
      let more = output.fileHandleForReading.readDataToEndOfFile()
      return String(decoding: buffer + more, as: UTF8.self)
    }

    func finish() -> Int32 {
      process.waitUntilExit()
      return process.terminationStatus
    }
  }

  private static let names = ["ls", "read", "write", "rm", "list", "exists", "chmod", "watch"]
  static var arePresent: Bool { names.allSatisfy(isPresent) }
  /// Its link leads into Xen's own packages, which a machine without Xen does not have.
  static var controlIsPresent: Bool { isPresent("control") }

  private static func isPresent(_ name: String) -> Bool { FileManager.default.isExecutableFile(atPath: "/usr/bin/xenstore-\(name)") }

  private let name: String
  private let arguments: [String]

  init(_ name: String, _ arguments: String...) {
    self.name = name
    self.arguments = arguments
  }

  func start(_ daemon: StoreDaemon, path: String? = nil) throws -> Running {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/xenstore-\(name)")
    process.arguments = arguments
    process.environment = ["XENSTORED_PATH": path ?? daemon.privilegedPath, "LC_ALL": "C"]
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return Running(process: process, output: output)
  }

  /// Runs the command to its end.
  func run(_ daemon: StoreDaemon, path: String? = nil) throws -> Outcome {
    let running = try start(daemon, path: path)
    let output = running.rest()
    return Outcome(status: running.finish(), output: output)
  }
}
