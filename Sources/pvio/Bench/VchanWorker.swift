import ArgumentParser
import DriverCommands
import EventLoop
import Glibc
import LinuxSystem
import PVDriver
import ProcessPlatform
import Vchan
import XenInterface
import XenStoreClient

/// One end of the pipe of ``BenchVchan``, in a process of its own. Started by that, not by people.
struct VchanWorker: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "vchan-worker", shouldDisplay: false)

  enum Side: String, ExpressibleByArgument {
    /// Takes bytes, and prints how many came a second.
    case listen
    /// Sends them until the other end leaves.
    case connect
  }

  @OptionGroup var common: CommonOptions
  @Argument var side: Side
  @Argument var domain: UInt16
  @Argument var ringByteCount: Int
  @Argument var seconds: Double

  /// Where the listener, the guest, may write.
  private var path: String { "/local/domain/\(domain)/data/bench" }

  func run() async throws {
    OwnedChildProcess.endWithParent()
    let guest = DomainID(rawValue: domain)
    let own = side == .listen ? guest : DomainID.control
    let platform = try DaemonConnection.platform(common.runDirectory, as: own)
    let store = try DaemonConnection.store(common.runDirectory, as: own)
    defer { store.close() }
    let thread = try EventLoopThread.started("vchan", processor: side == .listen ? 1 : 0)
    defer { thread.stopAndJoin() }
    switch side {
    case .listen:
      guard let orders = VchanOrders(leftByteCount: ringByteCount, rightByteCount: 1024) else { throw BenchFailure("no vchan has such rings") }
      let pipe = try await Vchan.listen(
        path, client: .control, orders: orders, platform: platform, store: store, loop: thread.loop,
        streams: VchanStreams(input: nil, output: try device("/dev/null", O_WRONLY)))
      print(try await rate(of: pipe))
      await pipe.leave()
    case .connect:
      let pipe = try await Vchan.connect(
        path, server: guest, platform: platform, store: store, loop: thread.loop,
        streams: VchanStreams(input: try device("/dev/zero", O_RDONLY), output: nil, staysOpen: true))
      _ = await pipe.ending()
      await pipe.leave()
    }
  }

  private func device(_ path: String, _ flags: Int32) throws -> SharedDescriptor {
    SharedDescriptor(try OwnedDescriptor.open(path, flags: flags))
  }

  /// Bytes a second, from a fifth of a second after the first ones on.
  private func rate(of pipe: Vchan) async throws -> Double {
    for _ in 0..<10_000 {
      if await pipe.counters().takenByteCount > 0 { break }
      try await Task.sleep(for: .milliseconds(1))
    }
    try await Task.sleep(for: .milliseconds(200))
    let (start, first) = (ContinuousClock.now, await pipe.counters().takenByteCount)
    try await Task.sleep(for: .seconds(seconds))
    let (end, last) = (ContinuousClock.now, await pipe.counters().takenByteCount)
    return Double(last - first) / ((end - start) / .seconds(1))
  }
}
