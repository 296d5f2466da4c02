import Glibc
import LinuxSystem

/// Two network namespaces for one round, with a TCP benchmark between them.
final class BenchNamespaces {
  let names: [String]

  init() throws {
    names = ["pvio-bench-a-\(getpid())", "pvio-bench-b-\(getpid())"]
    for name in names { try Self.ip("netns", "add", name) }
  }

  deinit { for name in names { try? Self.ip("netns", "delete", name) } }

  static func ip(_ arguments: String...) throws { _ = try BenchProcess.output(of: "/usr/bin/env", ["ip"] + arguments) }

  /// Gives both interfaces an address once they are there, and waits until they see each other.
  func setAddresses(_ first: String, _ second: String) async throws {
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
  static func measure(seconds: Double) async throws -> NetFigures {
    let namespaces = try BenchNamespaces()
    try BenchNamespaces.ip(
      "link", "add", "eth0", "netns", namespaces.names[0], "type", "veth", "peer", "name", "eth0", "netns", namespaces.names[1])
    try await namespaces.setAddresses("eth0", "eth0")
    return try namespaces.tcpRate(seconds: seconds)
  }
}
