import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// What is asked for wrongly: one line on stderr that names the object and the remedy, and the right exit code.
  @Suite struct BadInput {
    /// The command fails with `code` and one line that has all of `words`.
    private func expectRefusal(_ bed: TestBed, _ code: Int32, _ arguments: [String], _ words: String...) async throws {
      let outcome = try await bed.run(Program.pvio, arguments)
      let what = "pvio \(arguments.joined(separator: " ")): \(outcome.errors)"
      #expect(outcome.ending == .exited(code), "\(what)")
      #expect(outcome.errorLines.count == 1, "\(what)")
      #expect(outcome.errors.hasPrefix("pvio: "), "\(what)")
      #expect(outcome.output == "", "\(what)")
      for word in words { #expect(outcome.errors.contains(word), "\(what)") }
    }

    @Test func anImageThatCannotBeServed() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let small = "\(bed.imageDirectory)/small.img"
        try Data(count: 100).write(to: URL(fileURLWithPath: small))
        let missing = "\(bed.imageDirectory)/missing.img"
        for command in [["attach", "7", "disk"], ["backend", "block", "--domain", "7", "--disk"]] {
          try await expectRefusal(bed, 1, command + ["file=\(missing)"], missing, "does not exist", "truncate")
          try await expectRefusal(bed, 1, command + ["file=\(bed.imageDirectory)"], bed.imageDirectory, "directory")
          try await expectRefusal(bed, 1, command + ["file=\(small)"], small, "100 bytes", "512")
          try await expectRefusal(bed, 1, command + ["file=/dev/null"], "/dev/null", "neither a file nor a block device")
        }
        // `run` says the same, and takes its own daemon down again.
        try await expectRefusal(bed, 1, ["run", "--disk", "file=\(missing)", "--", "true"], missing, "does not exist")
        // Nothing of a refused disk stays.
        #expect(try await bed.devices() == [])
        try await bed.stopDaemon()
      }
    }

    @Test(.enabled(if: geteuid() == 0 && Program.arePresent("mount"), "needs root, for a read-only mount"))
    func aWriteProtectedImageIsServedReadOnlyAlone() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let image = try bed.emptyImage(megabytes: 1)
        try await bed.protect(image)
        try await expectRefusal(bed, 1, ["attach", "7", "disk", "file=\(image)"], image, "readonly=on")
        #expect(try await bed.devices() == [])
        try await bed.pvio("attach", "7", "disk", "file=\(image),readonly=on")
        #expect(try await bed.device().states == [1, 2])
        try await bed.pvio("detach", "7", "xvda")
      }
    }

    @Test(arguments: [
      ("file=x.img,colour=red", "unknown key 'colour'", "sector-size"),
      ("ram=16M,queues=zero", "queues=zero", "1 to 16"),
      ("ram=16M,queues=17", "queues=17", "1 to 16"),
      ("ram=16M,queues=2,queues=3", "'queues'", "twice"),
      ("ram=lots", "ram=lots", "512M"),
      ("ram=0", "ram=0", "512M"),
      ("ram=16M,null=16M", "exactly one of", "file="),
      ("readonly=on", "exactly one of", "file="),
      ("ram=16M,readonly=maybe", "readonly=maybe", "on or off"),
      ("ram=16M,sector-size=1024", "sector-size=1024", "512 or 4096"),
      ("file=", "'file'", "needs a value"),
      ("ram=16M,id=../../etc", "id=../../etc", "letters"),
      ("file=x.img,format=qcow2", "format=qcow2", "raw"),
      ("", "unknown key ''", "file"),
    ])
    func aSpecificationThatIsWrong(spec: String, problem: String, remedy: String) async throws {
      try await withTestBed(daemon: false) { bed in
        // Said before a daemon is looked for.
        try await expectRefusal(bed, 2, ["backend", "block", "--domain", "7", "--disk", spec], "--disk", problem, remedy)
        try await expectRefusal(bed, 2, ["run", "--disk", spec, "--", "true"], "--disk", problem, remedy)
        try await expectRefusal(bed, 2, ["attach", "7", "disk", spec], "attach", problem, remedy)
        #expect(bed.filesLeft == [])
      }
    }

    @Test func usageErrorsEndWithTwo() async throws {
      try await withTestBed(daemon: false) { bed in
        for arguments in [["frobnicate"], ["attach", "7"], ["daemon", "--frob"], ["list", "extra"], ["run"], ["daemon", "--log-level", "loud"]] {
          let outcome = try await bed.run(Program.pvio, arguments)
          #expect(outcome.ending == .exited(2), "pvio \(arguments)")
          #expect(outcome.errors.hasPrefix("pvio: "), "pvio \(arguments): \(outcome.errors)")
        }
        try await expectRefusal(bed, 2, ["attach", "7", "tape", "ram=1M"], "'tape'", "disk")
      }
    }

    @Test func helpIsNoError() async throws {
      try await withTestBed(daemon: false) { bed in
        for arguments in [["backend", "block", "--domain", "7", "--disk", "help"], ["attach", "7", "disk", "help"], ["run", "--disk", "help"]] {
          let help = try await bed.run(Program.pvio, arguments)
          #expect(help.succeeded && help.errors == "", "\(help.errors)")
          for key in ["file=", "ram=", "null=", "readonly=", "queues=", "sector-size="] { #expect(help.output.contains(key)) }
        }
        for command in [[], ["daemon"], ["run"], ["attach"], ["backend", "block"], ["export", "nbd"], ["status"]] {
          let help = try await bed.run(Program.pvio, command + ["--help"])
          #expect(help.succeeded && help.output.contains("USAGE: pvio"), "\(command): \(help.errors)")
        }
        #expect(try await bed.run(Program.pvio, ["--version"]).succeeded)
      }
    }

    @Test func withoutADaemonEveryCommandSaysHowToStartOne() async throws {
      try await withTestBed(daemon: false) { bed in
        for arguments in [
          ["list"], ["status"], ["attach", "7", "disk", "ram=1M"], ["detach", "7", "xvda"], ["resize", "7", "xvda", "1M"], ["domain", "list"],
          ["store", "ls"], ["export", "nbd", "7", "xvda"], ["backend", "block", "--domain", "7", "--disk", "ram=1M"],
        ] {
          try await expectRefusal(bed, 1, arguments, "no pvio daemon in \(bed.runDirectory)", "pvio daemon --run-dir")
        }
      }
    }

    @Test func aRunDirectoryBelongsToOneDaemon() async throws {
      try await withTestBed { bed in
        let daemon = try #require(bed.daemon)
        try await expectRefusal(bed, 1, ["daemon"], bed.runDirectory, "in use by process \(daemon.processID)", "--run-dir")
        // The first one is none the worse for it.
        #expect(try await bed.devices() == [])
        // What a daemon that was killed left behind is no obstacle.
        daemon.kill()
        // The kernel closes the sockets of a dead process's io_uring a moment later.
        try await eventually("the sockets are dead") { try await bed.run(Program.pvio, ["list"]).errors.contains("no pvio daemon in") }
        try await bed.startDaemon()
        #expect(try await bed.devices() == [])
        try await bed.stopDaemon()
      }
    }

    @Test func namesOfThingsThatAreNotThere() async throws {
      try await withTestBed { bed in
        try await expectRefusal(bed, 1, ["attach", "9", "disk", "ram=1M"], "no domain '9'", "pvio domain create")
        try await expectRefusal(bed, 1, ["attach", "nobody", "disk", "ram=1M"], "no domain 'nobody'", "pvio domain create")
        try await expectRefusal(bed, 1, ["domain", "destroy", "9"], "no domain '9'")
        try await bed.attach("ram=1M")
        for command in [["detach", "7", "xvdz"], ["export", "nbd", "7", "xvdz"], ["resize", "7", "xvdz", "1M"]] {
          try await expectRefusal(bed, 1, command, "'xvdz'; it has xvda")
        }
        try await expectRefusal(bed, 1, ["status", "nothing"], "nothing", "pvio list")
        try await expectRefusal(bed, 2, ["attach", "7", "disk", "ram=1M", "--device", "floppy"], "'floppy'", "xvda")
        try await expectRefusal(bed, 1, ["domain", "create", "--domid", "7"], "7")
        try await bed.pvio("detach", "7", "xvda")
      }
    }

    @Test func aDiskHasOneBackEndAndAnImageOneWriter() async throws {
      try await withTestBed { bed in
        let image = try bed.emptyImage(megabytes: 4)
        let backend = try await bed.attach("file=\(image)")
        let block = ["backend", "block", "--domain", "7", "--disk", "file=\(image)", "--device"]
        try await expectRefusal(bed, 1, block + ["xvda"], "xvda of domain 7 has a backend already", "process \(backend)")
        try await expectRefusal(bed, 1, block + ["xvdb"], image, "in use by another back-end", "readonly=on")
        try await expectRefusal(bed, 1, ["attach", "7", "disk", "file=\(image)"], image, "in use by another back-end")
        try await expectRefusal(bed, 1, ["attach", "7", "disk", "ram=1M,id=7-xvda"], "7-xvda", "attached already")
        try await expectRefusal(bed, 1, ["attach", "7", "disk", "ram=1M", "--device", "xvda"], "xvda")
        #expect(try await bed.devices().map(\.id) == ["7-xvda"])

        let export = try await bed.export()
        try await expectRefusal(bed, 1, ["export", "nbd", "7", "xvda"], "xvda of domain 7 has a frontend already", "process \(export.processID)")
        try await bed.waitForStates(4, 4)
        try await bed.detach(export)
        // The image is free again.
        try await bed.pvio("attach", "7", "disk", "file=\(image)")
        try await bed.pvio("detach", "7", "xvda")
        try await bed.stopDaemon()
      }
    }

    @Test func aPidfileIsHeldByOneProcess() async throws {
      try await withTestBed(daemon: false) { bed in
        let pidfile = "\(bed.directory)/pvio.pid"
        try await bed.startDaemon("--pidfile", pidfile)
        let daemon = try #require(bed.daemon)
        try await expectRefusal(
          bed, 1, ["daemon", "--run-dir", "\(bed.directory)/other", "--pidfile", pidfile], pidfile, "process \(daemon.processID)")
        try await bed.stopDaemon()
      }
    }
  }
}
