import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// `pvio run`: from nothing to a command with disks, and back to nothing.
  @Suite(.enabled(if: Program.arePresent("nbdinfo", "nbdcopy"), "libnbd-bin is not installed"))
  struct Run {
    @Test func theCommandFindsItsDisksAndEverythingIsGoneAfterwards() async throws {
      try await withTestBed(daemon: false) { bed in
        let original = try await bed.randomImage(megabytes: 4)
        let first = try bed.emptyImage("first.img", megabytes: 4)
        let script =
          "nbdinfo --size \"$PVIO_DISK0_NBD\"; nbdinfo --size \"$PVIO_DISK1_NBD\"; nbdcopy \(original) \"$PVIO_DISK0_NBD\"; "
          + "echo \"domain $PVIO_DOMID in $PVIO_RUN_DIR\"; test -S \"$PVIO_DISK0_SOCKET\""
        let outcome = try await bed.run(
          Program.pvio, ["run", "--disk", "file=\(first)", "--disk", "ram=2M,id=scratch", "--", "sh", "-c", script])
        #expect(outcome.succeeded, "\(outcome.errors)")
        #expect(outcome.errors == "")
        #expect(outcome.output.contains("\n\(4 << 20)\n\(2 << 20)\n"), "\(outcome.output)")
        #expect(outcome.output.contains("scratch"))
        #expect(outcome.output.contains("in \(bed.runDirectory)-run-"))
        try await bed.call("cmp", original, first)
        expectNothingLeft(of: bed)
      }
    }

    @Test(arguments: [1, 3, 77] as [Int32])
    func theCommandsExitCodeIsPassedOn(code: Int32) async throws {
      try await withTestBed(daemon: false) { bed in
        let outcome = try await bed.run(Program.pvio, ["run", "--disk", "ram=1M", "--", "sh", "-c", "exit \(code)"])
        #expect(outcome.ending == .exited(code), "\(outcome.errors)")
        expectNothingLeft(of: bed)
      }
    }

    @Test func aCommandThatIsNotThereIsOneClearLine() async throws {
      try await withTestBed(daemon: false) { bed in
        let outcome = try await bed.run(Program.pvio, ["run", "--disk", "ram=1M", "--", "no-such-command"])
        #expect(outcome.ending == .exited(1))
        #expect(outcome.errorLines.count == 1 && outcome.errors.contains("cannot run no-such-command"), "\(outcome.errors)")
        expectNothingLeft(of: bed)
      }
    }

    @Test func aSignalEndsItAndItsBackEndsEndWithIt() async throws {
      try await withTestBed(daemon: false) { bed in
        let run = try bed.start(Program.pvio, ["run", "--disk", "file=\(try bed.emptyImage(megabytes: 1))"])
        try await bed.waitForLine("nbd+unix:", of: run)
        #expect(processes(mentioning: "\(bed.runDirectory)-run-").count == 2)
        run.send(signal: SIGTERM)
        #expect(try await run.finish() == .exited(0))
        expectNothingLeft(of: bed)
      }
    }

    @Test func nothingOutlivesARunThatIsKilled() async throws {
      try await withTestBed(daemon: false) { bed in
        let run = try bed.start(Program.pvio, ["run", "--disk", "ram=1M"])
        try await bed.waitForLine("nbd+unix:", of: run)
        run.kill()
        try await eventually("its processes end") { processes(mentioning: "\(bed.runDirectory)-run-") == [] }
      }
    }

    @Test func aRunningDaemonIsUsedAndLeftAsItWas() async throws {
      try await withTestBed { bed in
        let outcome = try await bed.run(
          Program.pvio,
          ["run", "--daemon", bed.runDirectory, "--disk", "ram=1M", "--", "sh", "-c", "nbdinfo --size \"$PVIO_DISK0_NBD\""])
        #expect(outcome.succeeded && outcome.output.hasSuffix("\n\(1 << 20)\n"), "\(outcome.output)\(outcome.errors)")
        #expect(try await bed.devices() == [])
        #expect(try await bed.pvio("domain", "list", "--json").contains("run-") == false)
        try await bed.stopDaemon()
      }
    }

    private func expectNothingLeft(of bed: TestBed) {
      #expect(processes(mentioning: "\(bed.runDirectory)-run-") == [])
      let left = (try? FileManager.default.contentsOfDirectory(atPath: bed.directory)) ?? []
      #expect(left.filter { $0.hasPrefix("run") } == [])
    }
  }
}
