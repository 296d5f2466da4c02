import ArgumentParser
import DriverCommands
import EventLoop
import Glibc
import LinuxSystem
import NetFront
import NetPackets
import PVDriver
import ProcessPlatform
import SharedMemory
import SystemPackage
import XenInterface
import XenStoreClient
import Xenbus

/// The front-ends of the net benchmark, in a process of their own: the first floods, the second, if there is one, counts. Started by
/// ``NetBenchmark``, not by people.
struct NetWorker: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "net-worker", shouldDisplay: false)

  @OptionGroup var common: CommonOptions
  @Argument var domain: UInt16
  @Argument var backendProcess: Int32
  @Argument var byteCount: Int
  @Argument var seconds: Double
  @Argument var handles: [UInt32]
  @Option var frames: UInt64 = .max

  func run() async throws {
    OwnedChildProcess.endWithParent()
    let domain = DomainID(rawValue: domain)
    let platform = try DaemonConnection.platform(common.runDirectory, as: domain)
    let store = try DaemonConnection.store(common.runDirectory, as: domain)
    let thread = try EventLoopThread.start(name: "front", processor: 0)
    var interfaces: [(frontend: NetFrontend, address: MACAddress, notices: XenbusNotices, ending: Task<XenbusEnding, any Error>)] = []
    for handle in handles {
      let address = DeviceAddress(domain: domain, device: try GuestDevice.parse("\(handle)", kind: .net), id: "bench")
      let mac = try await store.readIfPresent("\(address.paths.frontend)/mac").flatMap { MACAddress($0) } ?? .broadcast
      let frontend = NetFrontend(on: thread.loop)
      let notices = XenbusNotices()
      let driver = NetFrontendDriver(frontend, address: mac, platform: platform, notices: notices, logger: common.logger("pvio.bench"))
      let life = XenbusFrontend(
        driver: driver, paths: address.paths, store: XenbusClientStore(store), notices: notices, logger: common.logger("pvio.bench"))
      let ending = Task { try await life.run() }
      guard await FirstConnection.isMade(before: ending, connected: { await frontend.waitUntilConnected() != nil }) else {
        throw BenchFailure("the back-end did not connect: \(try await ending.value)")
      }
      interfaces.append((frontend, mac, notices, ending))
    }
    let figures = try await flood(
      interfaces[0].frontend, from: interfaces[0].address, to: interfaces.last.map(\.address) ?? .broadcast,
      receiver: interfaces.count > 1 ? interfaces[1].frontend : nil)
    for interface in interfaces {
      interface.notices.stop()
      _ = try await interface.ending.value
      await interface.frontend.close()
    }
    store.close()
    thread.stopAndJoin()
    print(figures.rate, figures.frameNanoseconds)
  }

  /// Sends for a while, after a moment in which everything gets warm.
  private func flood(
    _ sender: NetFrontend, from source: MACAddress, to destination: MACAddress, receiver: NetFrontend?
  ) async throws -> NetFigures {
    let (byteCount, limit) = (byteCount, frames)
    let load = try await sender.loop.run { () -> Result<LoopConfined<NetFlood>, Errno> in
      do throws(Errno) {
        // The receiver learns nothing and answers nothing: the switch has to know where it is.
        let load = try NetFlood(sender.plane.value, from: source, to: destination, byteCount: byteCount, receiver: receiver?.plane.value, limit: limit)
        sender.loop.attach(load)
        return .success(LoopConfined(load, on: sender.loop))
      } catch {
        return .failure(error)
      }
    }.get()
    if frames != .max {
      while await !sender.loop.run({ load.value.isDone }) { try await Task.sleep(for: .milliseconds(5)) }
      await sender.loop.run { load.value.stop() }
      return NetFigures(rate: 0)
    }
    try await Task.sleep(for: .milliseconds(300))
    let before = try await sample(load)
    try await Task.sleep(for: .seconds(seconds))
    let after = try await sample(load)
    await sender.loop.run { load.value.stop() }
    let frames = Double(after.frames - before.frames)
    return NetFigures(
      rate: frames / (Double(after.time - before.time) / 1e9),
      frameNanoseconds: Double(after.processorTime - before.processorTime) / max(1, frames))
  }

  private struct Sample {
    var frames: UInt64
    var time: UInt64
    var processorTime: UInt64
  }

  private func sample(_ load: LoopConfined<NetFlood>) async throws -> Sample {
    let frames = await load.loop.run { load.value.arrivedCount }
    return Sample(
      frames: frames, time: MonotonicClock.nowNanoseconds,
      processorTime: try ProcessorTime.nanoseconds(of: backendProcess) + ProcessorTime.nanoseconds(of: getpid()))
  }
}
