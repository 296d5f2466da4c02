import Foundation
import LinuxSystem
import Testing

extension Integration {
  /// A front-end that breaks the protocol, in another process than the back-end.
  @Suite(.enabled(if: NetworkNamespaces.areAvailable && Program.arePresent("ping", "python3"), "\(NetworkNamespaces.reason)"))
  struct HostileNet {
    @Test func aBrokenRingTakesTheHostsCarrierAwayUntilSomebodyConnectsAnew() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        let guest = try await network.make("guest")
        try await bed.pvio("attach", "7", "net", "tap=tap0,netns=\(host),mac=00:16:3e:00:00:07,id=net0")
        try await network.setAddress(1, of: "tap0", in: host)
        let liar = try LyingLife.net(bed, device: 0)
        try await bed.waitForStates(4, 4, of: "net0")
        try await eventually("the host sees a carrier") { try await network.hasCarrier("tap0", in: host) }
        liar.frontend.claimRequests(0x8000_0000)
        try await eventually("the host's carrier is gone") { try await network.hasCarrier("tap0", in: host) == false }
        try await eventually("status says why") {
          try await bed.netStatus("net0").diagnosis.contains("the front-end broke queue 0")
        }
        await liar.end()
        // The same back-end, new rings.
        let process = try #require(try await bed.device("net0").backend_pid)
        let export = try await bed.exportTap(in: guest)
        try await bed.waitForStates(4, 4, of: "net0")
        try await network.setAddress(2, of: "eth0", in: guest)
        try await eventually("the host sees a carrier again") { try await network.hasCarrier("tap0", in: host) }
        #expect(try await network.ping(1, from: guest) == 3)
        #expect(try await bed.device("net0").backend_pid == process && export.isRunning)
        let status = try await bed.netStatus("net0")
        #expect(!status.diagnosis.contains("broke"), "\(status.diagnosis)")
      }
    }

    /// XSA-331, 332 and 423: what one guest does costs it its own interface, and nobody else's throughput.
    @Test func aStormOfEventsAndABrokenRingLeaveTheOthersOfTheSwitchAlone() async throws {
      try await withNetworkBed { bed, network in
        let guests = [try await network.make("one"), try await network.make("two")]
        for number in 0...2 { try await bed.pvio("attach", "7", "net", "switch=lan,id=net\(number)") }
        for number in 0...1 {
          _ = try await bed.exportTap("vif\(number)", in: guests[number])
          try await network.setAddress(number + 1, of: "eth0", in: guests[number])
        }
        let liar = try LyingLife.net(bed, device: 2)
        try await bed.waitForStates(4, 4, of: "net2")
        let storm = Task {
          while !Task.isCancelled {
            for _ in 0..<64 { liar.frontend.signal() }
            await Task.yield()
          }
        }
        let content = try await bed.randomImage(megabytes: 24)
        let wanted = try await bed.call("sha256sum", content).prefix(64)
        let server = try network.start(
          guests[0], "python3", "-m", "http.server", "8000", "--bind", "10.77.0.1", "--directory", bed.imageDirectory)
        let script = """
          import hashlib, time, urllib.request
          for attempt in range(50):
            try:
              data = urllib.request.urlopen("http://10.77.0.1:8000/random.img").read(); break
            except OSError: time.sleep(0.1)
          print(hashlib.sha256(data).hexdigest())
          """
        let download = try await network.run(guests[1], "python3", "-c", script)
        #expect(download.output.prefix(64) == wanted, "\(download.errors)")
        server.kill()
        try await eventually("the storm is counted") { try await bed.netStatus("net2").net?.queues.first?.spurious_events ?? 0 > 10 }
        storm.cancel()
        _ = await storm.result
        liar.frontend.claimRequests(12345)
        try await eventually("its own interface is stopped") { try await bed.netStatus("net2").diagnosis.contains("broke queue 0") }
        #expect(try await network.ping(2, from: guests[0]) == 3)
        await liar.end()
      }
    }

    /// A front-end without `feature-sg` has no room for more than a page: such a frame is counted, by name, and does not come.
    @Test func aFrameOverAPageForAFrontEndWithoutScatterGatherIsCountedAsUnacceptable() async throws {
      try await withNetworkBed { bed, network in
        let host = try await network.make("host")
        try await bed.pvio("attach", "7", "net", "tap=tap0,netns=\(host),mtu=9000,id=net0")
        try await network.setAddress(1, of: "tap0", in: host)
        let guest = try LyingLife.net(bed, device: 0)
        try await bed.waitForStates(4, 4, of: "net0")
        try await eventually("the host sees a carrier") { try await network.hasCarrier("tap0", in: host) }
        try await bed.call("ip", "-n", host, "neigh", "replace", "10.77.0.2", "lladdr", "00:16:3e:00:00:07", "dev", "tap0")
        _ = try await network.run(host, "ping", "-n", "-c", "2", "-i", "0.1", "-W", "1", "-s", "5000", "10.77.0.2")
        try await eventually("both are counted") { try await bed.netStatus("net0").net?.receive_drops["unacceptable"] == 2 }
        #expect(try await bed.pvio("status", "net0").contains("2 unacceptable"))
        await guest.end()
      }
    }
  }
}
