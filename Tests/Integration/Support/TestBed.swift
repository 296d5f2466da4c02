import Foundation
import Glibc
import LinuxSystem
import Testing

/// A run directory, a directory for images, and every process that belongs to them.
final class TestBed {
  /// What programs print, and files that need no direct I/O.
  let directory: String
  let runDirectory: String
  /// On a real file system: a tmpfs may not have O_DIRECT.
  let imageDirectory: String
  private(set) var daemon: RunningProgram?
  private var programs: [RunningProgram] = []
  private var mountPoints: [String] = []
  private var programCount = 0

  init() throws {
    let name = "pvio-test-\(UUID().uuidString.prefix(8))"
    directory = "/tmp/\(name)"
    runDirectory = "/tmp/\(name)/run"
    imageDirectory = "/var/tmp/\(name)"
    for path in [directory, imageDirectory] {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
  }

  /// Ends every process and removes every file, whatever state the test left them in.
  func close() {
    for program in programs.reversed() { program.kill() }
    // Back-ends that `pvio attach` started are no children of ours; all of them name our run directory.
    for process in processes(mentioning: directory) { kill(process, SIGKILL) }
    for path in mountPoints.reversed() { _ = (try? ChildProcess.spawn(Program.path("umount") ?? "umount", ["-l", path]))?.wait() }
    for path in [directory, imageDirectory] { try? FileManager.default.removeItem(atPath: path) }
  }

  // MARK: Programs

  /// Starts a program that goes on while the test does other things.
  func start(_ program: String, _ arguments: [String]) throws -> RunningProgram {
    programCount += 1
    let name = "\(programCount)-\(program.split(separator: "/").last ?? "")"
    let running = try RunningProgram(
      program, arguments, name: name, directory: directory,
      environment: ["PVIO_RUN_DIR": runDirectory, "XENSTORED_PATH": "\(runDirectory)/xenstored/socket", "LC_ALL": "C"])
    programs.append(running)
    return running
  }

  /// How a program ended, and what it said.
  struct Outcome {
    var ending: ChildProcess.Ending
    var output: String
    var errors: String

    var succeeded: Bool { ending == .exited(0) }
    var errorLines: [Substring] { errors.split(separator: "\n") }
  }

  /// Runs a program to its end.
  func run(_ program: String, _ arguments: [String]) async throws -> Outcome {
    let running = try start(program, arguments)
    let ending = try await running.finish()
    return Outcome(ending: ending, output: running.output, errors: running.errors)
  }

  /// Runs a program that has to succeed, and returns what it printed.
  @discardableResult
  func call(_ program: String, _ arguments: String...) async throws -> String {
    let outcome = try await run(program, arguments)
    guard outcome.succeeded else {
      throw TestFailure("\(program) \(arguments.joined(separator: " ")): \(outcome.ending)\n\(outcome.output)\(outcome.errors)")
    }
    return outcome.output
  }

  /// Runs `pvio`, which has to succeed.
  @discardableResult
  func pvio(_ arguments: String...) async throws -> String {
    let outcome = try await run(Program.pvio, arguments)
    guard outcome.succeeded else { throw TestFailure("pvio \(arguments.joined(separator: " ")): \(outcome.ending)\n\(outcome.errors)") }
    return outcome.output
  }

  // MARK: The system

  /// Starts the daemon and waits for its ready line.
  func startDaemon(_ arguments: String...) async throws {
    let daemon = try start(Program.pvio, ["daemon"] + arguments)
    try await waitForLine("pvio daemon ready", of: daemon)
    self.daemon = daemon
  }

  /// Ends the daemon as a service manager does. Everything is to be gone after that.
  func stopDaemon() async throws {
    guard let daemon else { return }
    daemon.send(signal: SIGTERM)
    #expect(try await daemon.finish() == .exited(0))
    #expect(daemon.errors == "")
    #expect(filesLeft == [])
    // A process lets go of its device shortly before it ends.
    try await eventually("every process has ended") { processes(mentioning: runDirectory) == [] }
  }

  /// Starts a front-end that exports the device, and waits until it listens.
  func export(_ domain: String = "7", _ device: String = "xvda") async throws -> RunningProgram {
    let export = try start(Program.pvio, ["export", "nbd", domain, device])
    try await waitForLine("pvio export ready", of: export)
    return export
  }

  func waitForLine(_ text: String, of program: RunningProgram) async throws {
    try await eventually("\(program.name) says '\(text)'", within: .seconds(40)) {
      if program.output.contains(text) { return true }
      if program.isRunning { return false }
      throw TestFailure("\(program.name) ended without saying '\(text)': \(program.errors)")
    }
  }

  func nbdSocket(_ id: String = "7-xvda") -> String { "\(runDirectory)/devices/\(id)/nbd.sock" }
  func nbdURI(_ id: String = "7-xvda") -> String { "nbd+unix:///?socket=\(nbdSocket(id))" }

  /// What `pvio store read` prints, without the newline.
  func storeValue(_ path: String) async throws -> String {
    String(try await pvio("store", "read", path).dropLast())
  }

  static let backendPath = "/local/domain/0/backend/vbd/7/51712"
  static let frontendPath = "/local/domain/7/device/vbd/51712"

  /// Files and sockets under the run directory. Its own empty directories may stay.
  var filesLeft: [String] {
    let all = FileManager.default.subpaths(atPath: runDirectory) ?? []
    return all.filter { path in
      let attributes = try? FileManager.default.attributesOfItem(atPath: "\(runDirectory)/\(path)")
      return attributes?[.type] as? FileAttributeType != .typeDirectory || path.contains("/")
    }.sorted()
  }

  /// Mounts a tmpfs of `byteCount` for the test; removed with everything else. Needs root.
  func mountMemory(byteCount: Int) async throws -> String {
    let path = "\(directory)/tmpfs"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try await call("mount", "-t", "tmpfs", "-o", "size=\(byteCount)", "none", path)
    mountPoints.append(path)
    return path
  }

  /// Makes one file or directory appear at itself, read-only. Needs root.
  func protect(_ path: String) async throws {
    try await call("mount", "--bind", path, path)
    mountPoints.append(path)
    try await call("mount", "-o", "remount,bind,ro", path)
  }
}

/// Runs a test with a run directory and a daemon of its own, and takes away whatever it leaves.
func withTestBed(daemon: Bool = true, _ body: (TestBed) async throws -> Void) async throws {
  let bed = try TestBed()
  defer { bed.close() }
  if daemon { try await bed.startDaemon() }
  try await body(bed)
}

/// The processes with `text` in their command lines, our own left out.
func processes(mentioning text: String) -> [Int32] {
  let all = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
  return all.filter { $0 != getpid() && ((try? TextFile.read("/proc/\($0)/cmdline")) ?? "").contains(text) }.sorted()
}
