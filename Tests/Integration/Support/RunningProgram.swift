import Glibc
import LinuxSystem
import SystemPackage

/// A program of a test, with its output in files.
final class RunningProgram {
  let name: String
  let processID: Int32
  private let process: ChildProcess
  let outputPath: String
  private let errorPath: String
  private(set) var ending: ChildProcess.Ending?

  /// Starts `program`; what it prints goes to files called `name` in `directory`.
  init(_ program: String, _ arguments: [String], name: String, directory: String, environment: [String: String]) throws {
    self.name = name
    outputPath = "\(directory)/\(name).out"
    errorPath = "\(directory)/\(name).err"
    guard let path = Program.path(program) else { throw TestFailure("\(program) is not installed") }
    let nowhere = try OwnedDescriptor.open("/dev/null", flags: O_RDONLY)
    let output = try OwnedDescriptor.open(outputPath, flags: O_WRONLY | O_CREAT | O_TRUNC)
    let errors = try OwnedDescriptor.open(errorPath, flags: O_WRONLY | O_CREAT | O_TRUNC)
    var options = ChildProcess.Options()
    options.standardInput = nowhere.rawValue
    options.standardOutput = output.rawValue
    options.standardError = errors.rawValue
    options.environment = environment
    process = try ChildProcess.spawn(path, arguments, options)
    processID = process.processID
  }

  /// Everything printed so far.
  var output: String { (try? TextFile.read(outputPath, maximumByteCount: 1 << 20)) ?? "" }
  var errors: String { (try? TextFile.read(errorPath, maximumByteCount: 1 << 20)) ?? "" }

  var isRunning: Bool {
    if ending == nil { ending = process.poll() }
    return ending == nil
  }

  func send(signal: Int32) {
    if isRunning { process.send(signal: signal) }
  }

  /// Waits for the program's end. One that takes longer than a test can wait is killed, and the test fails.
  func finish() async throws -> ChildProcess.Ending {
    do {
      try await eventually("\(name) ends", within: .seconds(60)) { !isRunning }
    } catch {
      kill()
      throw TestFailure("\(error)\n\(output)\n\(errors)")
    }
    return ending ?? .exited(-1)
  }

  /// Ends it at once (`kill -9`) and reaps it.
  func kill() {
    guard isRunning else { return }
    process.send(signal: SIGKILL)
    ending = process.wait()
  }
}

/// Why a test cannot go on.
struct TestFailure: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}

/// Waits until `condition` holds; throws when it does not for so long that it never will.
func eventually(_ what: String, within patience: Duration = .seconds(20), _ condition: () async throws -> Bool) async throws {
  let deadline = ContinuousClock.now + patience
  while try await !condition() {
    if ContinuousClock.now > deadline { throw TestFailure("waited in vain: \(what)") }
    try await Task.sleep(for: .milliseconds(10))
  }
}
