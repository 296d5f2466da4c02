import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// Two commands of two domains, with pipes and files of the shell.
  @Suite struct Vchans {
    @Test(arguments: ["1K", "64K", "1M"])
    func aFileSentThroughAPipeArrivesWhole(size: String) async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let source = try await bed.randomImage(megabytes: 3)
        let target = "\(bed.directory)/arrived"
        let listener = try bed.start(
          "sh", ["-c", "exec \(Program.pvio) vchan listen --as guest --domain 0 pipe --left \(size) --right \(size) > \(target)"])
        let outcome = try await bed.run("sh", ["-c", "\(Program.pvio) vchan connect --domain guest pipe < \(source)"])
        #expect(outcome.succeeded, "\(outcome.errors)")
        #expect(try await listener.finish() == .exited(0), "\(listener.errors)")
        try await bed.call("cmp", source, target)
        let left = try await bed.run(Program.pvio, ["store", "exists", "/local/domain/7/data/pipe"])
        #expect(!left.succeeded, "the keys are gone")
        try await bed.stopDaemon()
      }
    }

    @Test func bothDirectionsAtOnce() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let (up, down) = (try await bed.randomImage("up", megabytes: 2), try await bed.randomImage("down", megabytes: 2))
        let arrived = "\(bed.directory)/arrived"
        let listener = try bed.start(
          "sh", ["-c", "exec \(Program.pvio) vchan listen --stay --as guest --domain 0 pipe < \(down) > \(arrived).up"])
        // The client leaves when it has sent everything; what comes the other way is waited for first.
        let client = try bed.start(
          "bash",
          [
            "-c",
            "(cat \(up); until [ \"$(stat -c %s \(arrived).down)\" = 2097152 ]; do sleep 0.05; done) | exec \(Program.pvio) vchan connect --domain guest pipe > \(arrived).down",
          ])
        #expect(try await client.finish() == .exited(0), "\(client.errors)")
        #expect(try await listener.finish() == .exited(0), "\(listener.errors)")
        try await bed.call("cmp", up, "\(arrived).up")
        try await bed.call("cmp", down, "\(arrived).down")
      }
    }

    @Test func aListenerWhoseClientIsKilledEnds() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let listener = try bed.start(Program.pvio, ["vchan", "listen", "--as", "7", "--domain", "0", "pipe"])
        let client = try bed.start("sh", ["-c", "(echo first; exec sleep 600) | \(Program.pvio) vchan connect --domain 7 pipe"])
        try await bed.waitForLine("first", of: listener)
        // The shell is killed as well, and whatever else has the command's words in its own.
        for process in processes(mentioning: "vchan\0connect\0--domain\07") { kill(process, SIGKILL) }
        _ = client
        #expect(try await listener.finish() == .exited(0), "\(listener.errors)")
        #expect(listener.output == "first\n")
      }
    }

    @Test func aDomainThatIsNotMeantCannotConnect() async throws {
      try await withTestBed { bed in
        for (number, name) in [("7", "guest"), ("8", "other")] { try await bed.pvio("domain", "create", "--domid", number, name) }
        let listener = try bed.start(Program.pvio, ["vchan", "listen", "--as", "7", "--domain", "0", "pipe"])
        try await eventually("it listens") { try await bed.run(Program.pvio, ["store", "exists", "/local/domain/7/data/pipe/event-channel"]).succeeded }
        let intruder = try await bed.run(Program.pvio, ["vchan", "connect", "--as", "8", "--domain", "7", "pipe"])
        #expect(intruder.ending == .exited(1))
        #expect(intruder.errorLines.count == 1, "\(intruder.errors)")
        #expect(listener.isRunning)
      }
    }
  }
}
