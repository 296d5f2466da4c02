import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// From nothing to a connected disk and back to nothing.
  @Suite struct Life {
    @Test func threeProcessesServeADiskAndLeaveNothingBehind() async throws {
      try await withTestBed(daemon: false) { bed in
        let pidfile = "\(bed.directory)/daemon.pid"
        try await bed.startDaemon("--pidfile", pidfile)
        let daemon = try #require(bed.daemon)
        #expect(daemon.output == "pvio daemon ready: store \(bed.runDirectory)/xenstored/socket, broker \(bed.runDirectory)/broker.sock\n")
        #expect(try TextFile.read(pidfile) == "\(daemon.processID)\n")

        let image = try bed.emptyImage(megabytes: 16)
        #expect(try await bed.pvio("domain", "create", "--domid", "7", "guest") == "7\n")
        let attached = try await bed.pvio("attach", "7", "disk", "file=\(image)")
        let offered = try await bed.device()
        #expect(offered.states == [1, 2])
        #expect(attached == "xvda of domain 7 is 7-xvda, served by process \(offered.backend_pid ?? 0)\n")
        #expect(try await bed.status().diagnosis.contains("start a front-end"))

        let export = try await bed.export("guest", "xvda")
        #expect(export.output == "pvio export ready: \(bed.nbdURI())\n")
        let connected = try await bed.waitForStates(4, 4)
        #expect(connected.kind == "disk")
        #expect(connected.device == "xvda")
        #expect(connected.domid == 7)
        #expect(connected.bytes == 16 << 20)
        #expect(connected.read_only == false)
        #expect(connected.frontend_pid == export.processID)
        #expect(connected.backend_pid == offered.backend_pid)
        #expect(Set([daemon.processID, connected.frontend_pid, connected.backend_pid].compactMap { $0 }).count == 3)
        #expect(try await bed.status().diagnosis.hasSuffix("connected"))
        // What people read says the same.
        #expect(try await bed.pvio("list").contains("16M"))
        #expect(try await bed.pvio("status").contains("process \(export.processID)"))

        try await bed.detach(export)
        #expect(export.errors.split(separator: "\n").filter { !$0.contains("disconnected") } == [])
        #expect(try await bed.devices() == [])
        #expect(bed.filesLeft.filter { $0.hasPrefix("devices/") } == [])
        let backend = try #require(connected.backend_pid)
        try await eventually("the back-end's process is gone") { kill(backend, 0) != 0 }
        try await bed.pvio("domain", "destroy", "7")
        try await bed.stopDaemon()
        #expect(!FileManager.default.fileExists(atPath: pidfile))
      }
    }

    @Test(.enabled(if: Program.arePresent("xenstore-ls"), "xenstore-ls is not installed"))
    func theStoreShowsAConnectedDiskAsOnAXenHost() async throws {
      try await withTestBed { bed in
        let image = try bed.emptyImage(megabytes: 16)
        try await bed.attach("file=\(image)")
        let export = try await bed.export()
        try await bed.waitForStates(4, 4)

        let backend = keys(try await bed.call("xenstore-ls", "-f", TestBed.backendPath))
        let expectedBackend = [
          "frontend": TestBed.frontendPath, "frontend-id": "7", "online": "1", "removable": "0", "bootable": "1", "state": "4",
          "dev": "xvda", "type": "file", "mode": "w", "device-type": "disk", "direct-io-safe": "1", "discard-enable": "1",
          "params": image, "sectors": "32768", "sector-size": "512", "info": "0", "feature-flush-cache": "1", "feature-barrier": "1",
          "feature-discard": "1", "max-ring-page-order": "4", "multi-queue-max-queues": "4",
        ]
        for (key, value) in expectedBackend { #expect(backend[key] == value, "\(key)") }
        for key in ["feature-max-indirect-segments", "feature-persistent", "physical-sector-size", "discard-granularity"] {
          #expect(backend[key] != nil, "\(key)")
        }

        let frontend = keys(try await bed.call("xenstore-ls", "-f", TestBed.frontendPath))
        let expectedFrontend = [
          "backend": TestBed.backendPath, "backend-id": "0", "state": "4", "virtual-device": "51712", "device-type": "disk",
          "trusted": "1", "protocol": "x86_64-abi", "ring-page-order": "2", "multi-queue-num-queues": "4",
        ]
        for (key, value) in expectedFrontend { #expect(frontend[key] == value, "\(key)") }
        for queue in 0..<4 {
          #expect(frontend["queue-\(queue)/event-channel"] != nil)
          for page in 0..<4 { #expect(frontend["queue-\(queue)/ring-ref\(page)"] != nil) }
        }
        // With several queues and pages the flat keys must not be there.
        for key in ["ring-ref", "event-channel"] { #expect(frontend[key] == nil, "\(key)") }

        try await bed.detach(export)
        let all = try await bed.call("xenstore-ls", "-f")
        #expect(!all.contains("51712"))
      }
    }

    @Test func oneQueueAndOnePageUseTheFlatKeys() async throws {
      try await withTestBed { bed in
        try await bed.attach("ram=8M,queues=1")
        let export = try bed.start(Program.pvio, ["export", "nbd", "7", "xvda", "--ring-page-order", "0"])
        try await bed.waitForLine("pvio export ready", of: export)
        let keys = try await bed.pvio("store", "ls", TestBed.frontendPath)
        for key in ["ring-ref = ", "event-channel = "] { #expect(keys.contains(key), "\(key)") }
        #expect(!keys.contains("queue-0"))
        let client = try RawNBDClient(socketPath: bed.nbdSocket())
        let block = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        #expect(try client.request(.write, offset: 8192, byteCount: 4096, data: block).error == 0)
        #expect(try client.request(.read, offset: 8192, byteCount: 4096).data == block)
        try await bed.detach(export)
      }
    }

    @Test func aFrontEndThatIsStoppedLeavesTheDiskForTheNext() async throws {
      try await withTestBed { bed in
        try await bed.attach("ram=8M")
        for round in 1...3 {
          let export = try await bed.export()
          try await bed.waitForStates(4, 4)
          let client = try RawNBDClient(socketPath: bed.nbdSocket())
          #expect(client.byteCount == 8 << 20, "round \(round)")
          #expect(try client.request(.read, offset: 0, byteCount: 4096).error == 0, "round \(round)")
          export.send(signal: SIGTERM)
          #expect(try await export.finish() == .exited(0))
          #expect(!FileManager.default.fileExists(atPath: bed.nbdSocket()))
        }
        try await bed.pvio("detach", "7", "xvda")
        try await bed.stopDaemon()
      }
    }

    @Test func destroyingADomainTakesItsDisksAlong() async throws {
      try await withTestBed { bed in
        try await bed.attach("ram=8M")
        try await bed.pvio("attach", "7", "disk", "ram=1M")
        let export = try await bed.export()
        try await bed.waitForStates(4, 4)
        try await bed.pvio("domain", "destroy", "guest")
        #expect(try await export.finish() == .exited(0), "\(export.errors)")
        #expect(try await bed.devices() == [])
        #expect(try await bed.pvio("store", "ls").contains("517") == false)
        try await bed.stopDaemon()
      }
    }

    /// The lines of `xenstore-ls -f` (`PATH = "VALUE"`), by their last two parts below a queue, else the last.
    private func keys(_ listing: String) -> [String: String] {
      var result: [String: String] = [:]
      for line in listing.split(separator: "\n") {
        let parts = line.components(separatedBy: " = ")
        guard parts.count == 2 else { continue }
        let path = parts[0].trimmingCharacters(in: .whitespaces).split(separator: "/")
        let name = path.suffix(path.dropLast().last?.hasPrefix("queue-") == true ? 2 : 1).joined(separator: "/")
        result[name] = parts[1].trimmingCharacters(in: CharacterSet(charactersIn: "\""))
      }
      return result
    }
  }
}
