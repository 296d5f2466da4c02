import DriverCommands
import Glibc
import LinuxSystem

/// Two network namespaces for one round, with a TCP benchmark between them.
final class BenchNamespaces {
  let names: [String]
  /// The interface in each of them, once there are.
  private var interfaces: [String] = []

  init() throws {
    names = ["pvio-bench-a-\(getpid())", "pvio-bench-b-\(getpid())"]
    for name in names { try Self.ip("netns", "add", name) }
  }

  deinit { for name in names { try? Self.ip("netns", "delete", name) } }

  static func ip(_ arguments: String...) throws { _ = try BenchProcess.output(of: "/usr/bin/env", ["ip"] + arguments) }

  /// Gives both interfaces an address once they are there, and waits until they see each other.
  func setAddresses(_ first: String, _ second: String) async throws {
    interfaces = [first, second]
    for attempt in 0..<200 {
      do {
        try Self.ip("-n", names[1], "link", "set", second, "up")
        break
      } catch where attempt < 199 {
        try await Task.sleep(for: .milliseconds(20))
      }
    }
    try Self.ip("-n", names[0], "link", "set", first, "up")
    try Self.ip("-n", names[0], "address", "add", "10.76.0.1/24", "dev", first)
    try Self.ip("-n", names[1], "address", "add", "10.76.0.2/24", "dev", second)
    for _ in 0..<100 where (try? BenchProcess.output(of: "/usr/bin/env", inside(1) + ["ping", "-c", "1", "-W", "1", "10.76.0.1"])) == nil {
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  private func inside(_ index: Int) -> [String] { ["ip", "netns", "exec", names[index]] }

  /// Bits a second of one TCP connection from the second to the first, as the receiver counts.
  func tcpRate(seconds: Double) throws -> NetFigures {
    let server = try ChildProcess.spawn("/usr/bin/env", inside(0) + ["iperf3", "-s", "-1", "--logfile", "/dev/null"], .init())
    defer {
      server.send(signal: SIGKILL)
      server.wait()
    }
    usleep(300_000)
    let text: String
    do {
      text = try BenchProcess.output(
        of: "/usr/bin/env", inside(1) + ["iperf3", "-c", "10.76.0.1", "-t", "\(Int(seconds.rounded(.up)))", "-f", "k"])
    } catch {
      throw BenchFailure("iperf3 does not run between the namespaces: install it (apt-get install iperf3)")
    }
    guard let line = text.split(separator: "\n").last(where: { $0.hasSuffix("receiver") }),
      let match = line.firstMatch(of: /([0-9.]+) Kbits\/sec/), let rate = Double(match.1)
    else { throw BenchFailure("iperf3 printed no rate") }
    return NetFigures(rate: rate * 1000)
  }
}

/// A pair of virtual Ethernet interfaces between the namespaces.
enum VethPeer {
  static func run(_ body: (BenchNamespaces) async throws -> NetFigures) async throws -> NetFigures {
    let namespaces = try BenchNamespaces()
    try BenchNamespaces.ip(
      "link", "add", "eth0", "netns", namespaces.names[0], "type", "veth", "peer", "name", "eth0", "netns", namespaces.names[1])
    try await namespaces.setAddresses("eth0", "eth0")
    return try await body(namespaces)
  }
}

/// A plain process between two TAP interfaces, each in a namespace.
enum RelayPeer {
  static func run(_ body: (BenchNamespaces, [Int32]) async throws -> NetFigures) async throws -> NetFigures {
    let relay = try PeerProgram.compile("taprelay", package: "linux-libc-dev")
    let namespaces = try BenchNamespaces()
    let names = BenchNamespaces.movedInterfaces
    let process = try ChildProcess.spawn(relay.path, names, .init())
    defer {
      process.send(signal: SIGKILL)
      process.wait()
    }
    try await namespaces.take(names)
    return try await body(namespaces, [process.processID])
  }
}

extension BenchNamespaces {
  /// Names for interfaces that a peer makes outside of the namespaces.
  static var movedInterfaces: [String] { ["pvt0\(getpid() % 10000)", "pvt1\(getpid() % 10000)"] }

  /// Moves interfaces that a peer is about to make in here, and gives them their addresses.
  func take(_ interfaces: [String]) async throws {
    for (name, namespace) in zip(interfaces, names) {
      for attempt in 0..<100 {
        do {
          try Self.ip("link", "set", name, "netns", namespace)
          break
        } catch where attempt < 99 {
          try await Task.sleep(for: .milliseconds(50))
        }
      }
    }
    try await setAddresses(interfaces[0], interfaces[1])
  }

  /// UDP frames a second that arrive in the first namespace, where the interface's driver drops and counts them, while a generator in the second
  /// one offers `offered`; and the processor time of `processes` for each.
  func udpRate(byteCount: Int, offered: Int, seconds: Double, through processes: [Int32]) async throws -> NetFigures {
    let program = try PeerProgram.compile("udpflood", package: "linux-libc-dev")
    // What comes while the scheduler has given the processor to somebody else, which may be a tick of 4 ms.
    try Self.ip("-n", names[1], "link", "set", interfaces[1], "txqueuelen", "4096")
    let description = try BenchProcess.output(of: "/usr/bin/env", ["ip", "-n", names[0], "-j", "link", "show", "dev", interfaces[0]])
    guard let address = description.firstMatch(of: /"address":"([0-9a-f:]+)"/) else { throw BenchFailure("\(interfaces[0]) has no address") }
    let sink = try ChildProcess.spawn("/usr/bin/env", inside(0) + [program.path, "sink", interfaces[0]], .init())
    let generator = try ChildProcess.spawn(
      "/usr/bin/env", inside(1) + [program.path, "send", interfaces[1], String(address.1), "\(byteCount)", "\(offered)"], .init())
    defer {
      for process in [generator, sink] {
        process.send(signal: SIGKILL)
        process.wait()
      }
    }
    try await Task.sleep(for: .milliseconds(500))
    let before = try udpSample(processes)
    try await Task.sleep(for: .seconds(seconds))
    let after = try udpSample(processes)
    let frames = Double(after.frames - before.frames)
    guard frames > 0 else { throw BenchFailure("no UDP frame arrived") }
    return NetFigures(
      rate: frames / (Double(after.time - before.time) / 1e9),
      frameNanoseconds: Double(after.processorTime - before.processorTime) / frames)
  }

  private func udpSample(_ processes: [Int32]) throws -> (frames: UInt64, time: UInt64, processorTime: UInt64) {
    let text = try BenchProcess.output(of: "/usr/bin/env", ["ip", "-n", names[0], "-s", "-j", "link", "show", "dev", interfaces[0]])
    guard let match = text.firstMatch(of: /"rx":\{"bytes":[0-9]+,"packets":[0-9]+,"errors":[0-9]+,"dropped":([0-9]+)/), let frames = UInt64(match.1)
    else { throw BenchFailure("ip does not say what arrived") }
    let time = MonotonicClock.nowNanoseconds
    return (frames, time, try processes.reduce(0) { try $0 + ProcessorTime.nanoseconds(of: $1) })
  }
}
