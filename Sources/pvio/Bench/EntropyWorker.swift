import ArgumentParser
import DriverCommands
import EntropyDriver
import LinuxSystem
import PVDriver

/// The front-end of an entropy device under load, in a process of its own. Started by ``BenchAllocations``, not by people.
struct EntropyWorker: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "entropy-worker", shouldDisplay: false)

  @OptionGroup var device: FrontendOptions
  @Option var requests: Int

  /// Calls in flight.
  private static let depth = 16

  func run() async throws {
    OwnedChildProcess.endWithParent()
    try await device.use(EntropyInterface.self) { [requests] client in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for lane in 0..<Self.depth {
          group.addTask {
            for _ in stride(from: lane, to: requests, by: Self.depth) { _ = try await client.call(EntropyRequest(), receiving: 4096) }
          }
        }
        try await group.waitForAll()
      }
    }
  }

  /// A back-end process serves so many requests, and ends.
  static func round(_ daemon: BenchDaemon, requests: UInt64) async throws {
    let attached = try await daemon.attach(.driver(DriverSpec("id=bench", kind: EntropyInterface.kind)))
    let result = Result {
      _ = try BenchProcess.output(
        // Its own allocations are not asked for.
        of: "/usr/bin/env",
        [
          "-u", "PVIO_MALLOC_COUNTS", ChildProcess.ownExecutable, "bench", "entropy-worker", "--run-dir", daemon.common.runDirectory.path,
          "--requests", "\(requests)", "\(daemon.domain)",
        ])
    }
    let remark = try await daemon.detach(attached)
    attached.backend?.wait()
    if let remark { throw BenchFailure(remark) }
    try result.get()
  }
}
