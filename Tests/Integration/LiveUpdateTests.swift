import Foundation
import Glibc
import LinuxSystem
import Testing
import XenInterface

extension Integration {
  /// The daemon goes on as another binary, and nobody notices.
  @Suite struct LiveUpdate {
    /// The program that a process runs.
    private func executable(of process: Int32) throws -> String {
      try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/exe")
    }

    /// Two copies of `pvio` to go back and forth between.
    private func copies(_ bed: TestBed) throws -> [String] {
      try ["one", "two"].map { name in
        let path = "\(bed.imageDirectory)/pvio-\(name)"
        try FileManager.default.copyItem(atPath: Program.pvio, toPath: path)
        return path
      }
    }

    @Test(.enabled(if: Program.arePresent("xenstore-watch"), "xenstore-watch is not installed"))
    func storeClientsKeepWatchesTransactionsAndWhatIsOnTheWay() async throws {
      try await withTestBed(daemon: false) { bed in
        let pidfile = "\(bed.directory)/daemon.pid"
        try await bed.startDaemon("--pidfile", pidfile)
        let daemon = try #require(bed.daemon)
        let socket = "\(bed.runDirectory)/xenstored/socket"
        let copies = try copies(bed)
        let watcher = try bed.start("xenstore-watch", ["/watched"])
        try await bed.waitForLine("/watched", of: watcher)

        let half = try RawStoreClient(socket)
        let whole = RawStoreClient.request(.write, "/half|whole")
        var sent = 0
        let transacting = try RawStoreClient(socket)
        for path in ["/shared", "/private"] { #expect(try transacting.ask(.write, "\(path)|old") == "OK|") }
        let free = try transacting.startTransaction()
        let conflicting = try transacting.startTransaction()
        #expect(try transacting.ask(.write, "/private|new", in: free) == "OK|")
        #expect(try transacting.ask(.read, "/shared|", in: conflicting) == "old")
        #expect(try transacting.ask(.write, "/result|wrong", in: conflicting) == "OK|")
        let unread = try RawStoreClient(socket)
        #expect(try unread.ask(.watch, "/noise|t|") == "OK|")
        #expect(try unread.next() == "event /noise|t|")
        let other = try RawStoreClient(socket)

        for round in 0..<4 {
          let binary = copies[round % 2]
          try half.send(Array(whole[sent..<sent + 5]))
          sent += 5
          // More than a socket holds: the rest waits in the daemon.
          for index in 0..<500 {
            #expect(try other.ask(.write, "/noise/\(round)-\(index)-\(String(repeating: "n", count: 300))|") == "OK|")
          }
          if round == 2 { #expect(try other.ask(.write, "/shared|changed") == "OK|") }

          let update = try bed.start(Program.pvio, ["store", "live-update", "--binary", binary])
          // Requests go on all the time.
          repeat { #expect(try other.ask(.write, "/watched/\(round)|1") == "OK|") } while update.isRunning
          #expect(update.ending == .exited(0), "\(update.errors)")
          #expect(try executable(of: daemon.processID) == binary)
          #expect(try TextFile.read(pidfile) == "\(daemon.processID)\n")
          #expect(LockedFile.holder(of: pidfile) == daemon.processID)
          try await eventually("the watch fires in round \(round)") { watcher.output.contains("/watched/\(round)") }
        }

        try half.send(Array(whole[sent...]))
        #expect(try half.next() == "OK|")
        #expect(try half.ask(.read, "/half|") == "whole")
        #expect(try transacting.ask(.transactionEnd, "T|", in: free) == "OK|")
        #expect(try transacting.ask(.read, "/private|") == "new")
        #expect(try transacting.ask(.transactionEnd, "T|", in: conflicting) == "EAGAIN|")
        #expect(try transacting.ask(.read, "/result|") == "ENOENT|")
        for round in 0..<4 {
          for index in 0..<500 {
            #expect(try unread.next() == "event /noise/\(round)-\(index)-\(String(repeating: "n", count: 300))|t|")
          }
        }
        #expect(watcher.isRunning)
        watcher.kill()
        try await bed.stopDaemon()
        #expect(!FileManager.default.fileExists(atPath: pidfile))
      }
    }

    @Test(.enabled(if: Program.arePresent("fio"), "fio is not installed"))
    func aRunningDiskGoesOnAndCanBeAttachedAndDetachedAfterwards() async throws {
      try await withTestBed { bed in
        let daemon = try #require(bed.daemon)
        let copies = try copies(bed)
        let image = try bed.emptyImage(megabytes: 64)
        try await bed.attach("file=\(image)")
        let export = try await bed.export()
        try await bed.waitForStates(4, 4)
        let before = try await bed.domains().map { [$0.domid, $0.connections, $0.arena_pages, $0.event_channels] }

        let load = try bed.verifyingLoad(megabytes: 32, loops: 4)
        var rounds = 0
        repeat {
          try await bed.pvio("store", "live-update", "--binary", copies[rounds % 2])
          rounds += 1
        } while load.isRunning && rounds < 200
        #expect(rounds >= 2)
        #expect(try await load.finish() == .exited(0), "\(load.errors)")
        #expect(try executable(of: daemon.processID) == copies[(rounds - 1) % 2])
        #expect(try await bed.domains().map { [$0.domid, $0.connections, $0.arena_pages, $0.event_channels] } == before)
        #expect(try await bed.device().states == [4, 4])

        // The broker gives out new arenas and channels behind the old ones.
        try await bed.detach(export)
        try await bed.pvio("attach", "7", "disk", "file=\(image)")
        let second = try await bed.export()
        try await bed.waitForStates(4, 4)
        let read = try await bed.qemuIO(["read 0 4k"])
        #expect(read.succeeded, "\(read.errors)")
        try await bed.detach(second)
        try await bed.pvio("domain", "destroy", "7")
        try await bed.stopDaemon()
      }
    }

    @Test func aBinaryThatCannotGoOnIsRefusedAndServiceGoesOn() async throws {
      try await withTestBed { bed in
        let daemon = try #require(bed.daemon)
        let own = try executable(of: daemon.processID)
        let slow = "\(bed.imageDirectory)/slow"
        try Data("#!/bin/sh\nexec sleep 1000\n".utf8).write(to: URL(fileURLWithPath: slow))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: slow)
        let client = try RawStoreClient("\(bed.runDirectory)/xenstored/socket")
        let id = try client.startTransaction()
        #expect(try client.ask(.write, "/a|1", in: id) == "OK|")

        for (binary, expected) in [
          ("/bin/false", "/bin/false is no pvio that can go on (exit code 1)"),
          ("/bin/true", "/bin/true is no pvio that can go on (exit code 0)"),
          ("/nowhere/pvio", "/nowhere/pvio is no program that this daemon may run"),
          (slow, "\(slow) did not say within 1 seconds whether it can go on"),
        ] {
          let outcome = try await bed.run(Program.pvio, ["store", "live-update", "--binary", binary, "--time-limit", "1"])
          #expect(outcome.ending == .exited(1))
          #expect(outcome.errors.contains(expected), "\(outcome.errors)")
          #expect(outcome.errorLines.count == 1)
        }
        // While one update is under way, a second one is told so; the client that asked for the first waits for its answer.
        let patient = try RawStoreClient("\(bed.runDirectory)/xenstored/socket")
        #expect(try patient.ask(.control, "live-update|-f|\(slow)|") == "OK|")
        try patient.send(RawStoreClient.request(.control, "live-update|-s|-t|3|") + RawStoreClient.request(.read, "/a|"))
        try await eventually("the update is under way") { try client.ask(.control, "live-update|-a|").contains("under way") }
        #expect(try patient.next().contains("did not say within 3 seconds"))
        #expect(try patient.next() == "ENOENT|")

        // Good enough for the check, and gone when it matters: the old binary goes on.
        let vanishing = "\(bed.imageDirectory)/vanishing"
        try Data("#!/bin/sh\nrm \"$0\"\nexec \(Program.pvio) \"$@\"\n".utf8).write(to: URL(fileURLWithPath: vanishing))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: vanishing)
        let gone = try await bed.run(Program.pvio, ["store", "live-update", "--binary", vanishing])
        #expect(gone.errors.contains("cannot go on as \(vanishing): No such file or directory"), "\(gone.errors)")

        // As xenstore-control asks.
        #expect(try client.ask(.control, "live-update|-c|--run-dir /elsewhere|") == "OK|")
        #expect(try client.ask(.control, "live-update|-s|-t|10|").contains("would serve /elsewhere"))
        #expect(try client.ask(.control, "live-update|-f|pvio|").contains("absolute path"))
        #expect(try client.ask(.control, "live-update|-x|").contains("unknown parameters"))
        #expect(try client.ask(.control, "live-update|-a|") == "OK|")

        #expect(try executable(of: daemon.processID) == own)
        #expect(try client.ask(.transactionEnd, "T|", in: id) == "OK|")
        #expect(try client.ask(.control, "live-update|-s|-F|") == "OK|")
        #expect(try client.ask(.read, "/a|") == "1")
        daemon.send(signal: SIGTERM)
        #expect(try await daemon.finish() == .exited(0))
      }
    }

    /// A signal that comes while the program is replaced is neither lost nor deadly.
    @Test func aDaemonThatIsStoppedDuringAnUpdateStopsInOrder() async throws {
      try await withTestBed(daemon: false) { bed in
        for pause in [0, 5, 10, 20, 30, 40, 60, 80] {
          try await bed.startDaemon()
          let update = try bed.start(Program.pvio, ["store", "live-update"])
          // Anywhere between before and after the replacement.
          try await Task.sleep(for: .milliseconds(pause))
          try await bed.stopDaemon()
          _ = try await update.finish()
        }
      }
    }

    @Test func aStoreOnDiskIsKeptOnByTheNewBinary() async throws {
      try await withTestBed(daemon: false) { bed in
        let state = "\(bed.imageDirectory)/state"
        try await bed.startDaemon("--state-dir", state)
        let daemon = try #require(bed.daemon)
        let client = try RawStoreClient("\(bed.runDirectory)/xenstored/socket")
        for round in 0..<3 {
          #expect(try client.ask(.write, "/before/\(round)|1") == "OK|")
          try await bed.pvio("store", "live-update")
          #expect(try client.ask(.write, "/after/\(round)|1") == "OK|")
          #expect(LockedFile.holder(of: "\(state)/lock") == daemon.processID)
        }
        daemon.kill()
        try await bed.startDaemon("--state-dir", state)
        let again = try RawStoreClient("\(bed.runDirectory)/xenstored/socket")
        #expect(try again.ask(.directory, "/before|") == "0|1|2|")
        #expect(try again.ask(.directory, "/after|") == "0|1|2|")
        try await bed.stopDaemon()
      }
    }
  }
}
