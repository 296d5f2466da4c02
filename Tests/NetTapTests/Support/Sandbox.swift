import EventLoop
import Foundation
import LinuxSystem
import NetTap
import Synchronization
import Testing

/// Network namespaces of one test, removed with it, and programs in them. Nothing of the machine's own network is touched.
final class Sandbox {
  /// What the tests of interfaces need.
  static let isPossible = geteuid() == 0 && FileManager.default.fileExists(atPath: TapDevice.path) && Program.find("ip") != nil
  static let reason: Comment = "needs root, /dev/net/tun and ip (package iproute2)"
  static let python = Program.find("python3") != nil

  private static let serial = Mutex(0)
  let names: [String]

  /// Makes `count` namespaces in which nothing is sent unasked.
  init(_ count: Int = 1) throws {
    let first = Self.serial.withLock { serial in
      defer { serial += count }
      return serial
    }
    names = (first..<first + count).map { "pvio-tap-\(getpid())-\($0)" }
    for name in names {
      try Program.expect("ip", "netns", "add", name)
      try Program.expect("ip", "-n", name, "link", "set", "lo", "up")
      // Interfaces would announce themselves, and be seen by tests that count frames.
      try Program.expect("ip", "netns", "exec", name, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
    }
  }

  deinit { for name in names { _ = try? Program.run("ip", "netns", "delete", name) } }

  func namespace(_ index: Int = 0) -> NetworkNamespace { .named(names[index]) }

  func configuration(_ name: String, in index: Int = 0, queueCount: Int = 1) -> TapConfiguration {
    var configuration = TapConfiguration(InterfaceName(name)!)
    configuration.namespace = namespace(index)
    configuration.queueCount = queueCount
    return configuration
  }

  /// Runs `ip` in a namespace and expects it to succeed.
  @discardableResult
  func ip(_ arguments: String..., in index: Int = 0) throws -> String { try Program.expect("ip", ["-n", names[index]] + arguments) }

  /// Waits until an interface that was closed has gone, which is not always at once: see ``TapInterface/reopen(_:)``.
  func waitUntilGone(_ name: String, in index: Int = 0) throws {
    try waitUntil { ((try? Program.run("ip", "-n", names[index], "link", "show", name))?.status ?? 0) != 0 }
  }

  /// Starts a Python program in a namespace.
  func python(_ text: String, _ arguments: String..., in index: Int = 0) throws -> Program { try python(text, arguments, in: index) }

  func python(_ text: String, _ arguments: [String], in index: Int = 0) throws -> Program {
    try Program("ip", ["netns", "exec", names[index], "python3", "-c", text] + arguments)
  }

  /// Starts a program that sends frames of the tests' own protocol to `t0`, as ``testBytes(_:byteCount:)`` makes them.
  func sendFrames(_ sizes: [Int], in index: Int = 0) throws -> Program { try python(TapFrameTests.sender, sizes.map(String.init), in: index) }
}

extension TapInterface {
  /// Opens an interface that this process had open before, once it is free.
  ///
  /// A program that some other test starts just then has a copy of each of our descriptors, close-on-exec or not, from the fork until it is
  /// executed. For that moment, which is long under load, a queue that we have closed is still in use.
  static func reopen(_ configuration: TapConfiguration) throws(TapError) -> sending TapInterface {
    let deadline = MonotonicClock.nowNanoseconds + 30_000_000_000
    while true {
      do throws(TapError) {
        return try TapInterface.open(configuration)
      } catch {
        guard case .busy = error, MonotonicClock.nowNanoseconds < deadline else { throw error }
        usleep(2000)
      }
    }
  }
}

/// A program that nobody here wrote.
final class Program {
  private let process = Process()
  private let output = Pipe()
  private var collected = ""

  init(_ name: String, _ arguments: [String]) throws {
    process.executableURL = URL(fileURLWithPath: Self.find(name) ?? name)
    process.arguments = arguments
    process.standardOutput = output
    process.standardError = output
    let reading = output.fileHandleForReading.fileDescriptor
    _ = fcntl(reading, F_SETFL, fcntl(reading, F_GETFL) | O_NONBLOCK)
    try process.run()
  }

  deinit { end() }

  var processID: Int32 { process.processIdentifier }
  var hasEnded: Bool { !process.isRunning }

  /// Ends it, whichever signals it has inherited blocked.
  func end() {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }

  /// What it has printed, once it has ended: less than a pipe holds.
  var text: String {
    process.waitUntilExit()
    return partialText
  }

  /// What it has printed until now.
  var partialText: String {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe read(output.fileHandleForReading.fileDescriptor, &chunk, chunk.count)
      if count <= 0 { break }
      collected += String(decoding: chunk.prefix(count), as: UTF8.self)
    }
    return collected
  }

  var status: Int32 {
    process.waitUntilExit()
    return process.terminationStatus
  }

  static func find(_ name: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin"
    let folders = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]
    return folders.map { $0 + "/" + name }.first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  static func run(_ name: String, _ arguments: String...) throws -> (status: Int32, text: String) {
    let program = try Program(name, arguments)
    return (program.status, program.text)
  }

  @discardableResult
  static func expect(_ name: String, _ arguments: String...) throws -> String { try expect(name, arguments) }

  @discardableResult
  static func expect(_ name: String, _ arguments: [String]) throws -> String {
    let program = try Program(name, arguments)
    let text = program.text
    try #require(program.status == 0, "\(name) \(arguments.joined(separator: " ")): \(text)")
    return text
  }
}

/// Waits until something outside of this process has happened; throws when it does not within half a minute.
func waitUntil(_ condition: () -> Bool) throws {
  let deadline = MonotonicClock.nowNanoseconds + 30_000_000_000
  while !condition() {
    try #require(MonotonicClock.nowNanoseconds < deadline, "what was waited for did not happen")
    usleep(2000)
  }
}

extension EventLoop {
  /// Turns until `condition` holds. False when it does not within half a minute, which only a failing test waits for.
  func turn(until condition: () -> Bool) -> Bool {
    let deadline = MonotonicClock.nowNanoseconds + 30_000_000_000
    while !condition() {
      if MonotonicClock.nowNanoseconds > deadline { return false }
      let timer = schedule(afterNanoseconds: 2_000_000) {}
      turn()
      timer.cancel()
    }
    return true
  }
}
