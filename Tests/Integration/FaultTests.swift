import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// Processes that end when nobody expects it.
  @Suite struct Faults {
    @Test(.enabled(if: Program.arePresent("qemu-io"), "qemu-utils is not installed"))
    func aBackEndSurvivesTheDeathOfItsFrontEndsWithoutALeak() async throws {
      try await withTestBed { bed in
        let backend = try await bed.attach("file=\(try bed.emptyImage(megabytes: 16))")
        let idle = try await Resources.settled(of: backend)
        let daemon = try #require(bed.daemon)
        let idleDaemon = try await Resources.settled(of: daemon.processID)
        var connected: Resources?
        for round in 1...3 {
          let export = try await bed.export()
          let written = try await bed.qemuIO(["write -P \(round) \(round)M 1M", "flush"] + (1...round).map { "read -P \($0) \($0)M 1M" })
          #expect(written.succeeded && !written.output.contains("failed"), "\(written.output)\(written.errors)")
          let now = try Resources(of: backend, sharedOnly: true)
          // Mappings of the allocator come and go; those of a peer's memory must not.
          if let connected { #expect(now == connected, "round \(round)") } else { connected = now }

          export.kill()
          try await eventually("the back-end notices") { try await bed.device().backend_state != 4 }
          let diagnosis = try await bed.status().diagnosis
          #expect(diagnosis.contains("front-end's process is gone"), "\(diagnosis)")
          #expect(diagnosis.contains("pvio export nbd 7 xvda"), "\(diagnosis)")
          try await eventually("the back-end gives everything back") { try Resources(of: backend) == idle }
          try await eventually("the daemon takes everything back") { try await bed.domains().first { $0.domid == 7 }?.isUnused == true }
          try await eventually("the daemon gives everything back") { try Resources(of: daemon.processID) == idleDaemon }
          #expect(try await bed.device().backend_pid == backend)
        }
        let last = try await bed.export()
        try await bed.detach(last)
        try await bed.stopDaemon()
      }
    }

    @Test(.enabled(if: Program.arePresent("qemu-io"), "qemu-utils is not installed"))
    func aFrontEndReconnectsByItselfToANewBackEnd() async throws {
      try await withTestBed { bed in
        let image = try bed.emptyImage(megabytes: 16)
        let backend = try await bed.attach("file=\(image)")
        let export = try await bed.export()
        let connected = try Resources(of: export.processID, sharedOnly: true)
        let written = try await bed.qemuIO(["write -P 0x5a 1M 1M", "flush"])
        #expect(written.succeeded, "\(written.errors)")

        kill(backend, SIGKILL)
        try await eventually("the front-end says so") { export.errors.contains("back-end lost") }
        try await eventually("the lock is gone") { try await bed.device().backend_pid == nil }
        let diagnosis = try await bed.status().diagnosis
        #expect(diagnosis.contains("back-end's process is gone"), "\(diagnosis)")
        #expect(diagnosis.contains("pvio backend block --domain 7 --device xvda --disk file=\(image)"), "\(diagnosis)")

        let second = try bed.start(
          Program.pvio, ["backend", "block", "--domain", "7", "--device", "xvda", "--disk", "file=\(image)"])
        try await eventually("the front-end is connected again") { export.errors.contains("connected again") }
        let device = try await bed.waitForStates(4, 4)
        #expect(device.backend_pid == second.processID)
        #expect(device.frontend_pid == export.processID)
        let read = try await bed.qemuIO(["read -P 0x5a 1M 1M", "write -P 0x77 3M 1M", "read -P 0x77 3M 1M"])
        #expect(read.succeeded && !read.output.contains("failed"), "\(read.output)\(read.errors)")
        try await eventually("the front-end has what one connection needs") {
          try Resources(of: export.processID, sharedOnly: true) == connected
        }
        try await bed.detach(export)
        #expect(try await second.finish() == .exited(0))
        try await bed.stopDaemon()
      }
    }

    @Test(.enabled(if: Program.arePresent("nbdcopy"), "nbdcopy (libnbd-bin) is not installed"))
    func requestsWaitForABackEndThatReturns() async throws {
      try await withTestBed { bed in
        let image = try bed.emptyImage(megabytes: 8)
        let backend = try await bed.attach("file=\(image)")
        let export = try await bed.export()
        kill(backend, SIGKILL)
        try await eventually("the front-end says so") { export.errors.contains("back-end lost") }
        // Asked while nobody is there to answer.
        let reader = try bed.start("nbdcopy", [bed.nbdURI(), "\(bed.directory)/copy"])
        try await Task.sleep(for: .milliseconds(300))
        #expect(reader.isRunning)
        _ = try bed.start(Program.pvio, ["backend", "block", "--domain", "7", "--device", "xvda", "--disk", "file=\(image)"])
        #expect(try await reader.finish() == .exited(0), "\(reader.errors)")
        try await bed.detach(export)
      }
    }

    @Test(.enabled(if: Program.arePresent("fio"), "fio is not installed"))
    func aStoppedBackEndFinishesWhatItHasAndCloses() async throws {
      try await withTestBed { bed in
        let arguments = ["backend", "block", "--domain", "7", "--device", "xvda", "--disk", "file=\(try bed.emptyImage(megabytes: 32))"]
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let backend = try bed.start(Program.pvio, arguments)
        try await eventually("the back-end offers the disk") { try await bed.devices().first?.backend_state == 2 }
        let export = try await bed.export()
        let load = try bed.verifyingLoad(megabytes: 16, loops: 1000)
        try await eventually("the load has begun") { try await bed.status().backend?.writes ?? 0 > 0 }

        backend.send(signal: SIGTERM)
        #expect(try await backend.finish() == .exited(0), "\(backend.errors)")
        let stopped = try await bed.device()
        #expect(stopped.backend_state == 6)
        #expect(stopped.backend_pid == nil)
        #expect(!export.errors.contains("back-end lost"), "\(export.errors)")

        // Requests that came later wait, and none of the earlier ones failed: the load goes on as if nothing had been.
        let next = try bed.start(Program.pvio, arguments)
        try await bed.waitForStates(4, 4)
        try await eventually("the load goes on") { try await bed.status().backend?.writes ?? 0 > 0 }
        #expect(load.isRunning)
        load.send(signal: SIGTERM)
        _ = try await load.finish()
        #expect(!load.errors.contains("error"), "\(load.errors)")
        #expect(!load.output.contains("verify: bad"), "\(load.output)")
        try await bed.detach(export)
        #expect(try await next.finish() == .exited(0))
        try await bed.stopDaemon()
      }
    }

    @Test func withoutTheirDaemonBothEndsSaySoAndEnd() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7")
        let backend = try bed.start(Program.pvio, ["backend", "block", "--domain", "7", "--device", "xvda", "--disk", "ram=8M"])
        try await eventually("the back-end offers the disk") { try await bed.devices().first?.backend_state == 2 }
        let export = try await bed.export()
        try await bed.waitForStates(4, 4)
        bed.daemon?.kill()
        for end in [backend, export] {
          #expect(try await end.finish() == .exited(1))
          #expect(end.errors.split(separator: "\n").last?.contains("is the daemon running?") == true, "\(end.errors)")
        }
        // What they left is no obstacle to a new start.
        try await bed.startDaemon()
        try await bed.attach("ram=8M")
        let next = try await bed.export()
        try await bed.detach(next)
        try await bed.stopDaemon()
      }
    }

    /// What of a process must not grow: descriptors, and mappings of memory that others share with it.
    private struct Resources: Equatable {
      var descriptorCount: Int
      var sharedMappings: [String]

      /// What a process has when it does nothing: its status file is open for a moment now and then.
      static func settled(of process: Int32) async throws -> Resources {
        var last = try Resources(of: process)
        var repetitions = 0
        try await eventually("process \(process) is quiet") {
          let now = try Resources(of: process)
          repetitions = now == last ? repetitions + 1 : 0
          last = now
          return repetitions == 10
        }
        return last
      }

      /// - Parameter sharedOnly: count the descriptors of shared memory alone; clients of the process come and go.
      init(of process: Int32, sharedOnly: Bool = false) throws {
        let directory = "/proc/\(process)/fd"
        descriptorCount = try FileManager.default.contentsOfDirectory(atPath: directory).filter { name in
          guard sharedOnly else { return true }
          return (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\(name)"))?.hasPrefix("/memfd:") == true
        }.count
        sharedMappings = try sharedMemory(of: process).map(\.name).sorted()
      }
    }
  }
}
