import Foundation
import LinuxSystem
import SharedMemory
import Testing
import XenInterface

extension Integration {
  /// A directory shared between processes, used by diod's 9P clients.
  @Suite struct Shares {
    private func prepare(_ bed: TestBed, _ options: String = "") async throws -> String {
      let share = "\(bed.directory)/share"
      try FileManager.default.createDirectory(atPath: "\(share)/folder", withIntermediateDirectories: true)
      try Data("hello\n".utf8).write(to: URL(fileURLWithPath: "\(share)/file"))
      try FileManager.default.createSymbolicLink(atPath: "\(share)/evil", withDestinationPath: "/etc/passwd")
      try await bed.pvio("domain", "create", "--domid", "7", "guest")
      try await bed.pvio("attach", "7", "9pfs", "share=\(share)\(options)")
      return share
    }

    private func socket(_ bed: TestBed) -> String { "\(bed.runDirectory)/devices/7-9pfs0/9p.sock" }

    @Test(.enabled(if: Program.arePresent("diodls", "diodcat"), "diod is not installed"))
    func aRealClientListsAndReadsAndCannotLeave() async throws {
      try await withTestBed { bed in
        let share = try await prepare(bed, ",readonly=on")
        try await bed.call("dd", "if=/dev/urandom", "of=\(share)/large", "bs=1M", "count=3", "status=none")
        let export = try bed.start(Program.pvio, ["export", "9pfs", "guest", "9pfs0"])
        try await bed.waitForLine("pvio export ready", of: export)
        let listing = try await bed.call("diodls", "-s", socket(bed), "-a", "/", "/")
        #expect(Set(listing.split(whereSeparator: \.isWhitespace).map(String.init)).isSuperset(of: ["evil", "file", "folder", "large"]), "\(listing)")
        let long = try await bed.call("diodls", "-s", socket(bed), "-a", "/", "-l", "/")
        #expect(long.contains("hello") == false && long.split(separator: "\n").contains { $0.contains("-rw") && $0.hasSuffix("file") }, "\(long)")
        #expect(try await bed.call("diodcat", "-s", socket(bed), "-a", "/", "file") == "hello\n")
        try await bed.call("bash", "-c", "set -o pipefail; diodcat -s \(socket(bed)) -a / large | cmp - \(share)/large")
        let escape = try await bed.run("diodcat", ["-s", socket(bed), "-a", "/", "evil"])
        #expect(!escape.succeeded && !escape.output.contains("root:"), "\(escape.output)")
        export.send(signal: SIGTERM)
        #expect(try await export.finish() == .exited(0), "\(export.errors)")
        try await bed.pvio("detach", "7", "9pfs0")
        try await bed.stopDaemon()
      }
    }

    @Test func aGuestWithAnImpossiblePageIsToldSo() async throws {
      try await withTestBed { bed in
        _ = try await prepare(bed)
        let liar = try LyingLife(bed, kind: "9pfs") { platform in
          try LyingFrontend(platform, pageCount: 3) { pages, _ in pages.store32(40, at: NinePInterfaceLayout.ringOrderOffset) } keys: {
            ["version": "1", "num-rings": "1", "ring-ref0": "\($0[0])", "event-channel-0": "\($1)"]
          }
        }
        try await eventually("status says why") { try await bed.pvio("status").contains("ring_order of stream 0 is 40") }
        await liar.end()
      }
    }

    @Test func aGuestWithAnImpossibleMessageIsDisconnected() async throws {
      try await withTestBed { bed in
        _ = try await prepare(bed)
        let liar = try LyingLife(bed, kind: "9pfs") { platform in
          try LyingFrontend(platform, pageCount: 3) { pages, references in
            pages.store32(1, at: NinePInterfaceLayout.ringOrderOffset)
            for index in 0..<2 { pages.store32(references[index + 1].rawValue, at: NinePInterfaceLayout.referencesOffset + 4 * index) }
            // The second half of the two pages: a message of two gigabytes.
            pages.store32(0x8000_0000, at: 2 * 4096)
          } keys: { ["version": "1", "num-rings": "1", "ring-ref0": "\($0[0])", "event-channel-0": "\($1)"] }
        }
        try await eventually("connected") { try await bed.storeValue("/local/domain/0/backend/9pfs/7/0/state") == "4" }
        liar.frontend.claim(4, at: NinePInterfaceLayout.outputProducerOffset)
        try await eventually("status says why") { try await bed.pvio("status").contains("a 9P message of 2147483648 bytes") }
        await liar.end()
      }
    }
  }
}
