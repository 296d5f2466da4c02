import LinuxSystem
import SystemPackage

/// A C program of `Benchmarks/Peers/`, compiled when it is needed.
struct PeerProgram {
  /// Where the compiled program is.
  let path: String

  /// Compiles `Benchmarks/Peers/SOURCE.c` of the source tree in the current directory into `.build/peers/`. `package` names what apt must
  /// install when the compiler does not find its headers.
  static func compile(_ source: String, package: String, libraries: [String] = []) throws -> PeerProgram {
    let input = "Benchmarks/Peers/\(source).c"
    let directory = ".build/peers"
    let output = "\(directory)/\(source)"
    guard (try? OwnedDescriptor.open(input, flags: 0)) != nil else {
      throw BenchFailure("\(input) is not here: run the benchmark with a peer in the directory of pvio's sources")
    }
    guard try run("/usr/bin/env", ["mkdir", "-p", directory]) == .exited(0) else { throw BenchFailure("\(directory): cannot create") }
    guard try run("/usr/bin/env", ["cc", "-O2", input, "-o", output] + libraries) == .exited(0) else {
      throw BenchFailure("cannot compile \(input): install a C compiler and \(package) (apt-get install gcc \(package))")
    }
    return PeerProgram(path: output)
  }

  /// Runs the program and returns the number that it prints.
  func measure(_ arguments: [String]) throws -> Double {
    try BenchProcess.number(printedBy: path, arguments)
  }

  private static func run(_ path: String, _ arguments: [String]) throws -> ChildProcess.Ending {
    try OwnedChildProcess.start(path, arguments: arguments).waitForExit()
  }
}

/// Helpers for programs that print one number and end.
enum BenchProcess {
  /// Every number in what the program prints.
  static func numbers(printedBy path: String, _ arguments: [String]) throws -> [Double] {
    try output(of: path, arguments).split { $0 == "\n" || $0 == " " }.compactMap { Double($0) }
  }

  /// What a program prints that ends well.
  static func output(of path: String, _ arguments: [String]) throws -> String {
    let process = try OwnedChildProcess.start(path, arguments: arguments, capturingOutput: true)
    let text = try allOutput(of: process)
    let exit = process.waitForExit()
    guard exit == .exited(0) else { throw BenchFailure("\(path) \(arguments.joined(separator: " ")) failed: \(exit)") }
    return text
  }

  static func number(printedBy path: String, _ arguments: [String]) throws -> Double {
    let process = try OwnedChildProcess.start(path, arguments: arguments, capturingOutput: true)
    let text = try allOutput(of: process)
    let exit = process.waitForExit()
    guard exit == .exited(0), let value = number(in: text) else { throw BenchFailure("\(path) \(arguments.joined(separator: " ")) failed: \(exit)") }
    return value
  }

  static func number(in text: String) -> Double? {
    Double(text.split { $0 == "\n" || $0 == " " }.last ?? "")
  }

  static func allOutput(of process: borrowing OwnedChildProcess) throws -> String {
    var text = ""
    while true {
      let more = try process.readOutput()
      if more.isEmpty { return text }
      text += more
    }
  }
}
