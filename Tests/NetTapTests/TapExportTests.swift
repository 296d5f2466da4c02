import EventLoop
import LinuxSystem
import NetBack
import NetFront
import NetTap
import SimulatedPlatform
import TapExport
import Testing

/// A guest's interface shown as a TAP interface: the kernels of two namespaces talk to each other through a vif.
@Suite(.serialized, .enabled(if: Sandbox.isPossible && Sandbox.python, "needs root, /dev/net/tun, ip (package iproute2) and python3"))
struct TapExportTests {
  private func addresses(_ sandbox: Sandbox) throws {
    try sandbox.ip("addr", "replace", "10.97.0.1/24", "dev", "t0", in: 0)
    try sandbox.ip("addr", "replace", "10.97.0.2/24", "dev", "h0", in: 1)
  }

  private func transfer(_ sandbox: Sandbox, from first: Int, byteCount: Int, network: String = "10.97.0.") throws {
    let address = "\(network)\(2 - first)"
    let listener = try sandbox.python(TapTrafficTests.stream, "listen", address, in: 1 - first)
    try waitUntil { listener.partialText.contains("ready") || listener.hasEnded }
    let sender = try sandbox.python(TapTrafficTests.stream, "send", address, "\(byteCount)", in: first)
    #expect(sender.status == 0 && listener.status == 0, "\(sender.text) \(listener.text)")
    #expect(listener.text == "ready\n" + sender.text)
  }

  /// The same over IPv6, where a header says nothing of checksums and large segments have a type of their own.
  @Test func aStreamOverIPv6GoesInLargeSegmentsBothWays() async throws {
    let sandbox = try Sandbox(2)
    let vif = try await ExportedVif(sandbox)
    let backend = try await vif.startBackend()
    for (index, name) in ["t0", "h0"].enumerated() {
      try Program.expect("ip", "netns", "exec", sandbox.names[index], "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/\(name)/disable_ipv6")
      try sandbox.ip("addr", "replace", "fd97::\(index + 1)/64", "dev", name, "nodad", in: index)
    }
    try transfer(sandbox, from: 0, byteCount: 10 << 20, network: "fd97::")
    try transfer(sandbox, from: 1, byteCount: 10 << 20, network: "fd97::")
    let tap = await vif.export.statistics()[0]
    #expect(tap.receivedByteCount > 10 << 20 && tap.receivedFrames < 4000, "\(tap.receivedFrames) frames")
    #expect(tap.sentByteCount > 10 << 20 && tap.sentFrames < 4000, "\(tap.sentFrames) frames")
    #expect(tap.drops.total == tap.drops(.refused))
    await vif.stop(backend)
    #expect(await vif.finish() == ResourceLedger.Account())
  }

  private func hasCarrier(_ sandbox: Sandbox) -> Bool {
    (try? sandbox.ip("link", "show", "t0").contains("NO-CARRIER")) == false
  }

  /// What has passed an interface of one queue, as each who counts it says.
  private struct Counters {
    let front: NetFrontCounters
    let tap: TapQueueStatistics
    let kernel: NetworkLink.Statistics

    init(_ vif: ExportedVif) async throws {
      front = await vif.frontend.counters()
      tap = await vif.export.statistics()[0]
      kernel = try #require(await vif.export.report()?.statistics)
    }

    var agree: Bool {
      let framesAgree = front.transmittedFrames == tap.receivedFrames && front.receivedFrames == tap.sentFrames
      let bytesAgree = front.transmittedBytes == tap.receivedByteCount && front.receivedBytes == tap.sentByteCount
      let kernelAgrees = kernel.sentPackets == tap.receivedFrames + tap.drops(.refused) && kernel.receivedPackets == tap.sentFrames
      return framesAgree && bytesAgree && kernelAgrees
    }
  }

  /// With frames read straight into granted pages, with hardly any such pages, and with memory between.
  @Test(arguments: [24, 2, 0])
  func streamsArriveBitExactlyBothWaysAndAllCountersAgree(bufferCount: Int) async throws {
    let sandbox = try Sandbox(2)
    let vif = try await ExportedVif(sandbox, bufferCount: bufferCount)
    let backend = try await vif.startBackend()
    try addresses(sandbox)
    try transfer(sandbox, from: 0, byteCount: 20 << 20)
    try transfer(sandbox, from: 1, byteCount: 20 << 20)
    var counters = try await Counters(vif)
    // The last frames may be on their way when the programs have ended, and each counts them at another moment.
    let deadline = MonotonicClock.nowNanoseconds + 30_000_000_000
    while !counters.agree, MonotonicClock.nowNanoseconds < deadline {
      try await Task.sleep(for: .milliseconds(2))
      counters = try await Counters(vif)
    }
    #expect(counters.agree, "\(counters)")
    let (front, tap) = (counters.front, counters.tap)
    #expect(tap.drops.total == tap.drops(.refused) && front.transmitFailures == 0 && front.receiveRejections == 0 && front.receiveDrops == 0)
    #expect((front.transmittedInPlace > 0) == (bufferCount > 0) && front.transmittedInPlace < front.transmittedFrames)
    // Far fewer frames than the 1514 bytes of a wire's would make.
    #expect(tap.receivedByteCount > 20 << 20 && tap.receivedFrames < 8000, "\(tap.receivedFrames) frames")
    #expect(tap.sentByteCount > 20 << 20 && tap.sentFrames < 8000, "\(tap.sentFrames) frames")
    await vif.stop(backend)
    #expect(await vif.finish() == ResourceLedger.Account())
  }

  @Test func theCableIsPluggedInWhileABackEndIsConnected() async throws {
    let sandbox = try Sandbox(2)
    let vif = try await ExportedVif(sandbox)
    #expect(!hasCarrier(sandbox))
    for round in 0..<2 {
      let backend = try await vif.startBackend()
      try waitUntil { hasCarrier(sandbox) }
      try addresses(sandbox)
      try transfer(sandbox, from: 0, byteCount: 1 << 20)
      if round == 0 { await vif.stop(backend) } else { await vif.kill(backend) }
      try waitUntil { !hasCarrier(sandbox) }
    }
    #expect(await vif.finish() == ResourceLedger.Account())
    try sandbox.waitUntilGone("t0")
  }

  @Test func theGuestSeesWhenTheHostSwitchesItsInterfaceOff() async throws {
    let sandbox = try Sandbox(2)
    let vif = try await ExportedVif(sandbox)
    let backend = try await vif.startBackend()
    try waitUntil { hasCarrier(sandbox) }
    try sandbox.ip("link", "set", "h0", "down", in: 1)
    try waitUntil { !hasCarrier(sandbox) }
    try sandbox.ip("link", "set", "h0", "up", in: 1)
    try waitUntil { hasCarrier(sandbox) }
    await vif.stop(backend)
    #expect(await vif.finish() == ResourceLedger.Account())
  }

  @Test func severalQueuesServeABackEndThatOffersFewerNextTime() async throws {
    let sandbox = try Sandbox(2)
    let vif = try await ExportedVif(sandbox, queueCount: 4)
    for queueCount in [4, 2, 1, 4] {
      let backend = try await vif.startBackend(queueCount: queueCount)
      #expect(vif.frontend.status.link?.queueCount == queueCount)
      try addresses(sandbox)
      try waitUntil { hasCarrier(sandbox) }
      try transfer(sandbox, from: 0, byteCount: 2 << 20)
      try transfer(sandbox, from: 1, byteCount: 2 << 20)
      await vif.stop(backend)
    }
    #expect(await vif.finish() == ResourceLedger.Account())
  }

  /// Waits until `count` frames more have gone each way.
  private func passed(_ count: UInt64, _ vif: ExportedVif) async throws {
    let before = await vif.frontend.counters()
    let deadline = MonotonicClock.nowNanoseconds + 30_000_000_000
    while true {
      let now = await vif.frontend.counters()
      if now.transmittedFrames >= before.transmittedFrames + count, now.receivedFrames >= before.receivedFrames + count { return }
      try #require(MonotonicClock.nowNanoseconds < deadline, "no frames: \(now)")
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  @Test func everythingEndsUnderTraffic() async throws {
    let sandbox = try Sandbox(2)
    let vif = try await ExportedVif(sandbox)
    let backend = try await vif.startBackend()
    try addresses(sandbox)
    try sandbox.ip("neigh", "add", "10.97.0.2", "lladdr", "02:00:00:00:00:77", "dev", "t0", in: 0)
    try sandbox.ip("neigh", "replace", "10.97.0.1", "lladdr", "02:00:00:00:00:78", "dev", "h0", in: 1)
    let floods = [
      try sandbox.python(TapTrafficTests.flood, "10.97.0.2", in: 0), try sandbox.python(TapTrafficTests.flood, "10.97.0.1", in: 1),
    ]
    try await passed(1000, vif)
    await vif.kill(backend)
    let second = try await vif.startBackend()
    // The interface of the first one has gone with it.
    try addresses(sandbox)
    try sandbox.ip("neigh", "replace", "10.97.0.1", "lladdr", "02:00:00:00:00:78", "dev", "h0", in: 1)
    try await passed(1000, vif)
    #expect(await vif.finish() == ResourceLedger.Account())
    await vif.stop(second)
    for flood in floods { flood.end() }
  }
}
