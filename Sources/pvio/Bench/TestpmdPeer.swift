import Glibc
import LinuxSystem
import SystemPackage

/// DPDK's testpmd, without huge pages and devices (package dpdk).
enum TestpmdPeer {
  /// A sender on processor 0 and a receiver on processor 1, with a memif between them. The two do not always find each other: then they are
  /// started again.
  static func memif(byteCount: Int, seconds: Double) async throws -> NetFigures {
    for _ in 0..<3 {
      do { return try await memifOnce(byteCount: byteCount, seconds: seconds) } catch is BenchFailure { continue }
    }
    return try await memifOnce(byteCount: byteCount, seconds: seconds)
  }

  private static func memifOnce(byteCount: Int, seconds: Double) async throws -> NetFigures {
    let socket = "/tmp/pvio-memif-\(getpid()).sock"
    // One that was killed leaves it behind, and the next one does not start.
    UnixSocket.removeFile(at: socket)
    defer { UnixSocket.removeFile(at: socket) }
    let receiver = try start(
      "rx\(getpid())", core: 1, ["net_memif0,role=server,id=0,socket-abstract=no,socket=\(socket)"], ["--auto-start", "--forward-mode=rxonly", "--stats-period", "1"])
    try await Task.sleep(for: .seconds(1))
    let sender = try start(
      "tx\(getpid())", core: 0, ["net_memif0,role=client,id=0,socket-abstract=no,socket=\(socket)"],
      ["--auto-start", "--forward-mode=txonly", "--txpkts=\(byteCount)"])
    try await Task.sleep(for: .seconds(2))
    let before = try ProcessorTime.nanoseconds(of: receiver.process.processID) + ProcessorTime.nanoseconds(of: sender.process.processID)
    let start = MonotonicClock.nowNanoseconds
    try await Task.sleep(for: .seconds(seconds.rounded(.up) + 1))
    let spent = try ProcessorTime.nanoseconds(of: receiver.process.processID) + ProcessorTime.nanoseconds(of: sender.process.processID) - before
    let elapsed = Double(MonotonicClock.nowNanoseconds - start) / 1e9
    // What it prints comes when it ends.
    sender.stop()
    receiver.stop()
    let text = (try? TextFile.read(receiver.log)) ?? ""
    let rates = text.matches(of: /Rx-pps:\s+([0-9]+)/).compactMap { Double($0.1) }
    guard let rate = steadyRate(rates) else { throw BenchFailure("testpmd received nothing; see \(receiver.log)") }
    return NetFigures(rate: rate, frameNanoseconds: Double(spent) / (rate * elapsed))
  }

  /// The rate over all seconds that were whole: the first and the last one in which anything came were not. Nil when nothing came.
  private static func steadyRate(_ rates: [Double]) -> Double? {
    let busy = rates.filter { $0 > 0 }
    let whole = busy.count > 2 ? busy.dropFirst().dropLast() : busy[...]
    return whole.isEmpty ? nil : whole.reduce(0, +) / Double(whole.count)
  }

  /// A process on processor 1 that forwards between two memifs, and one on processor 0 that sends back what it gets: 512 frames go round in
  /// each direction, so that no time is spent on making them, and both directions count.
  static func forwarding(byteCount: Int, seconds: Double) async throws -> NetFigures {
    for _ in 0..<3 {
      do { return try await forwardingOnce(byteCount: byteCount, seconds: seconds) } catch is BenchFailure { continue }
    }
    return try await forwardingOnce(byteCount: byteCount, seconds: seconds)
  }

  private static func forwardingOnce(byteCount: Int, seconds: Double) async throws -> NetFigures {
    let sockets = (0..<2).map { "/tmp/pvio-memif-\(getpid())-\($0).sock" }
    for socket in sockets { UnixSocket.removeFile(at: socket) }
    defer { for socket in sockets { UnixSocket.removeFile(at: socket) } }
    let devices = { (role: String) in
      (0..<2).map { "net_memif\($0),role=\(role),id=\($0),socket-abstract=no,socket=\(sockets[$0])" }
    }
    let forwarder = try start("fw\(getpid())", core: 1, devices("server"), ["--auto-start", "--forward-mode=io", "--stats-period", "1"])
    defer { forwarder.stop() }
    try await Task.sleep(for: .milliseconds(1500))
    let loop = try start("lo\(getpid())", core: 0, devices("client"), ["-i", "--forward-mode=io", "--txpkts=\(byteCount)"])
    defer { loop.stop() }
    // They find each other meanwhile: frames that are sent before are lost.
    try await Task.sleep(for: .seconds(3))
    try loop.enter("start tx_first 16")
    try await Task.sleep(for: .milliseconds(1500))
    let before = try ProcessorTime.nanoseconds(of: forwarder.process.processID) + ProcessorTime.nanoseconds(of: loop.process.processID)
    let start = MonotonicClock.nowNanoseconds
    try await Task.sleep(for: .seconds(seconds.rounded(.up) + 1))
    let spent = try ProcessorTime.nanoseconds(of: forwarder.process.processID) + ProcessorTime.nanoseconds(of: loop.process.processID) - before
    let elapsed = Double(MonotonicClock.nowNanoseconds - start) / 1e9
    loop.stop()
    forwarder.stop()
    // Two lines a second, one for each port.
    let text = (try? TextFile.read(forwarder.log)) ?? ""
    let rates = text.matches(of: /Rx-pps:\s+([0-9]+)/).compactMap { Double($0.1) }
    let sums = stride(from: 0, to: rates.count - 1, by: 2).map { rates[$0] + rates[$0 + 1] }
    guard let rate = steadyRate(sums) else { throw BenchFailure("testpmd forwarded nothing; see \(forwarder.log)") }
    return NetFigures(rate: rate, frameNanoseconds: Double(spent) / (rate * elapsed))
  }

  /// One process between two TAP interfaces, each in a namespace.
  static func taps(_ body: (BenchNamespaces, [Int32]) async throws -> NetFigures) async throws -> NetFigures {
    let namespaces = try BenchNamespaces()
    let names = BenchNamespaces.movedInterfaces
    let forwarder = try start(
      "tt\(getpid())", core: 1, ["net_tap0,iface=\(names[0])", "net_tap1,iface=\(names[1])"], ["--auto-start", "--forward-mode=io"])
    defer { forwarder.stop() }
    // It sets its interfaces up where it made them.
    try await Task.sleep(for: .seconds(3))
    try await namespaces.take(names)
    return try await body(namespaces, [forwarder.process.processID])
  }

  private static func start(
    _ prefix: String, core: Int, _ devices: [String], _ options: [String]
  ) throws -> Running {
    let log = "/tmp/pvio-testpmd-\(prefix).log"
    var child = ChildProcess.Options()
    do throws(Errno) {
      let output = try OwnedDescriptor.open(log, flags: O_WRONLY | O_CREAT | O_TRUNC)
      child.standardOutput = output.rawValue
      child.standardError = output.rawValue
      // It ends when there is something to read, or the end of it.
      let input = try UnixSocket.pair(.stream)
      child.standardInput = input.first.rawValue
      let arguments =
        ["--no-huge", "-m", "256", "--lcores", "0@\(core),1@\(core)", "--no-pci", "--no-telemetry", "--file-prefix", prefix]
        + devices.map { "--vdev=\($0)" } + ["--", "--total-num-mbufs=8192"] + options
      return Running(process: try ChildProcess.spawn("dpdk-testpmd", arguments, child), log: log, input: input)
    } catch {
      throw BenchFailure("cannot start dpdk-testpmd: install it (apt-get install dpdk): \(error)")
    }
  }

  /// A process that goes on until ``stop()``.
  private final class Running {
    let process: ChildProcess
    let log: String
    private let input: UnixSocket.Pair
    private var isStopped = false

    init(process: ChildProcess, log: String, input: consuming UnixSocket.Pair) {
      self.process = process
      self.log = log
      self.input = input
    }

    /// Types a line.
    func enter(_ line: String) throws {
      let bytes = Array((line + "\n").utf8)
      guard try UnixSocket.send(bytes, from: 0, on: input.second) == bytes.count else { throw BenchFailure("testpmd does not read") }
    }

    func stop() {
      if isStopped { return }
      isStopped = true
      process.send(signal: SIGINT)
      for _ in 0..<200 where process.poll() == nil { usleep(10_000) }
      process.send(signal: SIGKILL)
      process.wait()
    }

    deinit { stop() }
  }
}
