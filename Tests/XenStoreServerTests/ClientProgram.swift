import Foundation

/// A client program of `Tests/StoreClients` that is built on a library which nobody here wrote.
struct ClientProgram {
  /// In CI nothing may be missing: a suite that lacks a tool then fails instead of being skipped.
  static let isRequired = ProcessInfo.processInfo.environment["CI"] == "true"
  static var hasXenstoreLibrary: Bool { isRequired || FileManager.default.fileExists(atPath: "/usr/include/xenstore.h") && has("gcc") }
  static var hasPip: Bool { isRequired || has("python3") && (try? run("/usr/bin/env", ["python3", "-m", "pip", "--version"]).status) == 0 }

  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "StoreClients")

  private static func has(_ name: String) -> Bool {
    (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":").contains {
      FileManager.default.isExecutableFile(atPath: "\($0)/\(name)")
    }
  }

  /// Compiles the C program against libxenstore and runs it against a daemon.
  static func runLibxenstore(_ daemon: StoreDaemon) throws -> XenTool.Outcome {
    let program = daemon.directory + "/libxenstore-client"
    let source = folder.appending(path: "libxenstore-client.c").path
    let compiled = try run("/usr/bin/env", ["gcc", "-Wall", "-Wextra", "-Werror", "-o", program, source, "-lxenstore", "-lpthread"])
    guard compiled.status == 0 else { return compiled }
    return try run(program, [], ["XENSTORED_PATH": daemon.privilegedPath])
  }

  /// Installs pyxs from PyPI into the daemon's directory, which is removed with it, and runs the Python program.
  static func runPyxs(_ daemon: StoreDaemon) throws -> XenTool.Outcome {
    let library = daemon.directory + "/python"
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target", library, "pyxs==0.4.1"]
    let installed = try run("/usr/bin/env", ["python3"] + pip, ["PIP_ROOT_USER_ACTION": "ignore"])
    guard installed.status == 0 else { return installed }
    let source = folder.appending(path: "pyxs-client.py").path
    return try run("/usr/bin/env", ["python3", source, daemon.privilegedPath], ["PYTHONPATH": library, "PYTHONDONTWRITEBYTECODE": "1"])
  }

  private static func run(_ path: String, _ arguments: [String], _ environment: [String: String] = [:]) throws -> XenTool.Outcome {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return XenTool.Outcome(status: process.terminationStatus, output: text)
  }
}
