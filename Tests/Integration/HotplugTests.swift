import LinuxSystem
import Testing

extension Integration {
  @Suite struct Hotplug {
    @Test(.enabled(if: Program.arePresent("fio", "qemu-io"), "fio or qemu-utils is not installed"))
    func aSecondDiskComesAndGoesWhileTheFirstIsUnderLoad() async throws {
      try await withTestBed { bed in
        try await bed.attach("file=\(try bed.emptyImage(megabytes: 32))")
        let first = try await bed.export()
        let load = try bed.verifyingLoad(megabytes: 16, loops: 1000)
        try await eventually("the load has begun") { try await bed.status().backend?.writes ?? 0 > 0 }

        for round in 1...2 {
          try await bed.pvio("attach", "guest", "disk", "file=\(try bed.emptyImage("second-\(round).img", megabytes: 8)),id=second")
          let second = try await bed.export("7", "second")
          let connected = try await bed.waitForStates(4, 4, of: "second")
          #expect(connected.device == "xvdb")
          let written = try await bed.qemuIO(["write -P 0x\(round)a 64k 64k", "read -P 0x\(round)a 64k 64k"], on: "second")
          #expect(written.succeeded && !written.output.contains("failed"), "\(written.output)\(written.errors)")
          #expect(try await bed.run(Program.pvio, ["detach", "7", "xvdb"]).errors == "")
          let ending = try await second.finish()
          #expect(ending == .exited(0), "\(ending): \(second.errors)")
          #expect(try await bed.devices().map(\.id) == ["7-xvda"])
        }

        #expect(load.isRunning)
        let before = try #require(try await bed.status().backend?.writes)
        try await eventually("the load goes on") { try await bed.status().backend?.writes ?? 0 > before }
        load.send(signal: 15)
        // fio finishes what is in flight; data that failed verification would be its end, and is said on stderr.
        _ = try await load.finish()
        #expect(!load.errors.contains("verify"), "\(load.errors)")
        #expect(!load.output.contains("verify: bad"), "\(load.output)")
        try await bed.detach(first)
      }
    }

    /// Who is still asking gets an error at once: nobody will ever serve him.
    @Test(.enabled(if: Program.arePresent("fio"), "fio is not installed"))
    func aDiskThatIsTakenOffWhileItIsReadTakesItsExportWithIt() async throws {
      try await withTestBed { bed in
        try await bed.attach("ram=16M")
        let export = try await bed.export()
        let load = try bed.start(
          "fio", ["--name=load", "--ioengine=nbd", "--uri=\(bed.nbdURI())", "--rw=randread", "--bs=4k", "--size=16M", "--time_based", "--runtime=100"])
        try await eventually("the disk is read") { try await bed.status().backend?.queues.contains { $0.requests > 0 } ?? false }
        #expect(try await bed.run(Program.pvio, ["detach", "7", "xvda"]).errors == "")
        #expect(!export.isRunning, "the export outlives its device")
        #expect(try await export.finish() == .exited(0))
        _ = try await load.finish()
      }
    }
  }
}
