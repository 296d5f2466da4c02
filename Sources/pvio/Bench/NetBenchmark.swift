import DriverCommands
import Glibc
import LinuxSystem
import PVDriver

/// For each round back-end and front-end processes that are connected as any others are.
final class NetBenchmark {
  private let daemon: BenchDaemon
  private let seconds: Double
  /// What the generator of UDP frames offers.
  private let offeredRate: Int

  private init(daemon: BenchDaemon, seconds: Double, offeredRate: Int) {
    self.daemon = daemon
    self.seconds = seconds
    self.offeredRate = offeredRate
  }

  static func open(seconds: Double, offeredRate: Int = 800_000) async throws -> NetBenchmark {
    NetBenchmark(daemon: try await .open(), seconds: seconds, offeredRate: offeredRate)
  }

  /// One round, which ends after the time that was asked for, or after `frames`.
  func measure(_ netCase: NetCase, frames: UInt64? = nil) async throws -> NetFigures {
    switch netCase.path {
    case .oneHop: try await withInterfaces(["null"]) { try self.flood($0, netCase, frames) }
    case .twoHops: try await withInterfaces(["switch=bench", "switch=bench"]) { try self.flood($0, netCase, frames) }
    case .tapTCP: try await withTaps { namespaces, _ in try namespaces.tcpRate(seconds: self.seconds) }
    case .tapUDP:
      try await withTaps { namespaces, processes in
        try await namespaces.udpRate(byteCount: netCase.byteCount, offered: self.offeredRate, seconds: self.seconds, through: processes)
      }
    }
  }

  /// Attaches interfaces, measures, and takes them off again.
  private func withInterfaces<Result>(_ specs: [String], isPinned: Bool = true, _ body: ([AttachedDevice]) async throws -> Result) async throws -> Result {
    var devices: [AttachedDevice] = []
    let outcome = await Swift.Result<Result, any Error>.of {
      for (index, spec) in specs.enumerated() {
        devices.append(try await daemon.attach(.net(NetSpec("\(spec),id=bench\(index)")), isPinned: isPinned))
      }
      return try await body(devices)
    }
    for device in devices { _ = try await daemon.detach(device) }
    for device in devices {
      if device.address.device.kind == .net { device.backend?.send(signal: SIGTERM) }
      device.backend?.wait()
    }
    return try outcome.get()
  }

  private func flood(_ devices: [AttachedDevice], _ netCase: NetCase, _ frames: UInt64?) throws -> NetFigures {
    let output = try BenchProcess.numbers(
      printedBy: ChildProcess.ownExecutable,
      [
        "bench", "net-worker", "--run-dir", daemon.common.runDirectory.path, "\(daemon.domain)", "\(devices[0].backendProcess)", "\(netCase.byteCount)",
        "\(seconds)",
      ] + devices.map { "\($0.address.device.number)" } + (frames.map { ["--frames", "\($0)"] } ?? []))
    guard output.count == 2 else { throw BenchFailure("the front-end printed \(output.count) numbers") }
    return NetFigures(rate: output[0], frameNanoseconds: output[1])
  }

  /// Joins two namespaces by a vif with a TAP interface at each end. `body` gets the processes that frames go through, too.
  private func withTaps(_ body: (BenchNamespaces, [Int32]) async throws -> NetFigures) async throws -> NetFigures {
    let namespaces = try BenchNamespaces()
    let (server, client) = (namespaces.names[0], namespaces.names[1])
    return try await withInterfaces(["tap=tap0,netns=\(server)"], isPinned: false) { devices in
      // What it says is not the benchmark's.
      let nowhere = try OwnedDescriptor.open("/dev/null", flags: O_RDWR)
      var options = ChildProcess.Options()
      options.standardOutput = nowhere.rawValue
      let export = try ChildProcess.spawn(
        ChildProcess.ownExecutable,
        ["export", "tap", "--run-dir", daemon.common.runDirectory.path, "--exit-with-parent", "--name", "eth0", "--netns", client, "\(daemon.domain)", "vif0"],
        options)
      defer {
        export.send(signal: SIGTERM)
        export.wait()
      }
      try await namespaces.setAddresses("tap0", "eth0")
      return try await body(namespaces, devices.map(\.backendProcess) + [export.processID])
    }
  }

  func close() async { await daemon.close() }
}
