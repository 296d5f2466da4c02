import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// Domains that come to the store over a page of memory, in processes of their own.
  @Suite struct StorePages {
    private static let ring = ["--domain", "7", "--transport", "ring"]

    private func ring(_ bed: TestBed, _ command: String, _ arguments: String...) async throws -> TestBed.Outcome {
      try await bed.run(Program.pvio, ["store", command] + Self.ring + arguments)
    }

    /// A domain 7 that has no store socket any more.
    private func makeDomain(_ bed: TestBed) async throws {
      try await bed.pvio("domain", "create", "--domid", "7")
      try FileManager.default.removeItem(atPath: "\(bed.runDirectory)/domains/7/store.sock")
    }

    @Test func aDomainWithoutAStoreSocketReadsWritesAndWatches() async throws {
      try await withTestBed { bed in
        try await makeDomain(bed)
        #expect(try await ring(bed, "write", "data/key", "value").succeeded)
        #expect(try await ring(bed, "read", "data/key").output == "value\n")
        #expect(try await bed.pvio("store", "read", "/local/domain/7/data/key") == "value\n")

        let watcher = try bed.start(Program.pvio, ["store", "watch"] + Self.ring + ["--count", "3", "data"])
        try await bed.waitForLine("data", of: watcher)
        try await bed.pvio("store", "write", "/local/domain/7/data/other", "1")
        try await bed.waitForLine("data/other", of: watcher)
        #expect(try await ring(bed, "write", "data/key", "again").succeeded)
        #expect(try await watcher.finish() == .exited(0))
        #expect(watcher.output == "data\ndata/other\ndata/key\n")

        // Nearly as much as one packet holds: several times the ring.
        let long = String(repeating: "x", count: 1900)
        #expect(try await ring(bed, "write", "data/long", long).succeeded)
        #expect(try await ring(bed, "read", "data/long").output == long + "\n")
      }
    }

    @Test func itMayDoWhatItsDomainMayDo() async throws {
      try await withTestBed { bed in
        try await makeDomain(bed)
        let refused = try await ring(bed, "write", "/local/domain/7/name", "other")
        #expect(refused.ending != .exited(0))
        #expect(refused.errors.contains("EACCES"))
        #expect(try await ring(bed, "read", "/local/domain/0/name").errors.contains("EACCES"))
      }
    }

    @Test func aKilledProcessAndADestroyedDomainLeaveNothingBehind() async throws {
      try await withTestBed { bed in
        try await makeDomain(bed)
        let daemon = try #require(bed.daemon)
        let before = try sharedMemory(of: daemon.processID).count
        let watcher = try bed.start(Program.pvio, ["store", "watch"] + Self.ring + ["data"])
        try await bed.waitForLine("data", of: watcher)
        #expect(try sharedMemory(of: daemon.processID).count > before)
        watcher.send(signal: SIGKILL)
        _ = try await watcher.finish()
        try await eventually("the daemon lets go of the page") { try sharedMemory(of: daemon.processID).count == before }

        let other = try bed.start(Program.pvio, ["store", "watch"] + Self.ring + ["data"])
        try await bed.waitForLine("data", of: other)
        try await bed.pvio("domain", "destroy", "7")
        _ = try await other.finish()
        try await eventually("the daemon lets go of the page") { try sharedMemory(of: daemon.processID).count == before }
      }
    }

    @Test func aLiveUpdateGoesOnWithThePage() async throws {
      try await withTestBed { bed in
        try await makeDomain(bed)
        let watcher = try bed.start(Program.pvio, ["store", "watch"] + Self.ring + ["data"])
        try await bed.waitForLine("data", of: watcher)
        for round in 0..<3 {
          try await bed.pvio("store", "live-update")
          try await bed.pvio("store", "write", "/local/domain/7/data/\(round)", "1")
          try await bed.waitForLine("data/\(round)\n", of: watcher)
          #expect(try await ring(bed, "write", "data/key", "\(round)").succeeded)
        }
        #expect(watcher.isRunning)
      }
    }
  }
}
