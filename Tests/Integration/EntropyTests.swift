import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// A driver that is generated from its protocol file, between processes.
  @Suite struct Entropy {
    /// The rows of `pvio list`, as far as this test looks.
    private struct Listing: Decodable {
      struct Device: Decodable {
        var id: String
        var kind: String
        var device: String
        var frontend_state: Int
        var backend_state: Int
        var backend_pid: Int32?
      }
      var devices: [Device]
    }

    private func device(_ bed: TestBed) async throws -> Listing.Device? {
      try JSONDecoder().decode(Listing.self, from: Data(try await bed.pvio("list", "--json").utf8)).devices.first { $0.kind == "entropy" }
    }

    /// How many bytes a running command has written. They are no text.
    private func byteCount(_ program: RunningProgram) -> Int {
      (try? FileManager.default.attributesOfItem(atPath: program.outputPath)[.size] as? Int) ?? 0
    }

    @Test func aDomainReadsRandomBytesOfAnother() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        let attached = try await bed.pvio("attach", "guest", "entropy")
        #expect(attached.contains("entropy0 of domain 7 is 7-entropy0"), "\(attached)")
        let first = try bed.start(Program.pvio, ["entropy", "guest", "--bytes", "100000"])
        #expect(try await first.finish() == .exited(0), "\(first.errors)")
        #expect(byteCount(first) == 100_000)
        let second = try bed.start(Program.pvio, ["entropy", "7", "--device", "entropy0", "--bytes", "100000"])
        #expect(try await second.finish() == .exited(0), "\(second.errors)")
        #expect(FileManager.default.contents(atPath: first.outputPath) != FileManager.default.contents(atPath: second.outputPath))
        try await eventually("the status says what was served") {
          try await bed.pvio("status", "7-entropy0").contains("14 requests")
        }
        try await bed.pvio("detach", "7", "entropy0")
        #expect(try await device(bed) == nil)
        try await bed.stopDaemon()
      }
    }

    @Test func callsGoOnWhenTheBackEndIsKilledAndStartedAgain() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7")
        try await bed.pvio("attach", "7", "entropy", "id=random")
        let backend = try #require(try await device(bed)?.backend_pid)
        let reader = try bed.start(Program.pvio, ["entropy", "7", "--bytes", "400000000"])
        try await eventually("bytes come") { byteCount(reader) > 0 }
        kill(backend, SIGKILL)
        try await eventually("the front-end says so") { reader.errors.contains("back-end lost") }
        let status = try await bed.pvio("status", "random")
        #expect(status.contains("the back-end's process is gone"), "\(status)")
        let next = try bed.start(Program.pvio, ["backend", "entropy", "--domain", "7", "--device", "entropy0"])
        try await eventually("the front-end is connected again") { reader.errors.contains("connected again") }
        let before = byteCount(reader)
        try await eventually("bytes come again") { byteCount(reader) > before }
        #expect(reader.isRunning)
        reader.send(signal: SIGTERM)
        _ = try await reader.finish()
        try await bed.pvio("detach", "7", "random")
        #expect(try await next.finish() == .exited(0), "\(next.errors)")
        try await bed.stopDaemon()
      }
    }

    @Test func mistakesAreNamedInOneLine() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7")
        let none = try await bed.run(Program.pvio, ["entropy", "7"])
        #expect(none.errors == "pvio: domain 7 has no entropy: attach one with 'pvio attach 7 entropy'\n")
        let unknown = try await bed.run(Program.pvio, ["attach", "7", "entropy", "colour=red"])
        #expect(unknown.errors.contains("unknown key 'colour'; expected iops, bps or id"), "\(unknown.errors)")
        #expect(try await device(bed) == nil)
        let capabilities = try await bed.pvio("backend", "entropy", "--print-capabilities")
        #expect(capabilities.contains("\"type\" : \"entropy\""), "\(capabilities)")
      }
    }
  }
}
