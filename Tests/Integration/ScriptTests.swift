import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// A disk that a script serves, as the documentation says it.
  @Suite struct Scripts {
    /// The script of docs/scripted-back-ends.md, word for word.
    private func exampleScript(in directory: String) async throws -> String {
      let page = try String(contentsOfFile: URL(filePath: #filePath).deletingLastPathComponent().path + "/../../docs/scripted-back-ends.md", encoding: .utf8)
      let block = try #require(page.components(separatedBy: "```sh\n").dropFirst().first?.components(separatedBy: "```").first)
      #expect(block.split(separator: "\n").count <= 12)
      let path = "\(directory)/my.sh"
      try block.write(toFile: path, atomically: true, encoding: .utf8)
      return path
    }

    @Test func theDocumentedScriptServesAVMM() async throws {
      try await withTestBed(daemon: false) { bed in
        let script = try await exampleScript(in: bed.imageDirectory)
        let refused = try await bed.run(Program.pvio, ["backend", "script", script, "--socket-path", "\(bed.directory)/disk.sock"])
        #expect(refused.ending == .exited(1) && refused.errorLines.count == 1 && refused.errors.contains("may not be run; make it executable"), "\(refused.errors)")
        try await bed.call("chmod", "+x", script)
        let backend = try bed.start(Program.pvio, ["backend", "script", script, "--socket-path", "\(bed.directory)/disk.sock"])
        try await bed.waitForLine("pvio backend ready", of: backend)
        let guest = try PlainVMM("\(bed.directory)/disk.sock")
        for round in 0..<4 { try await guest.verify(sector: UInt64(round * 100), seed: round) }
        let bytes = try FileHandle(forReadingFrom: URL(filePath: "\(bed.imageDirectory)/disk.bytes")).readToEnd()
        #expect(bytes?.count == 8 << 20 && bytes?.dropFirst(51200).prefix(4096) == Data((0..<4096).map { UInt8(truncatingIfNeeded: $0 / 7 + 1) }))
        backend.send(signal: SIGTERM)
        #expect(try await backend.finish() == .exited(0))
        #expect(backend.errors == "")
      }
    }

    @Test func theDocumentedScriptServesADomainsRings() async throws {
      try await withTestBed(daemon: false) { bed in
        let script = try await exampleScript(in: bed.imageDirectory)
        try await bed.call("chmod", "+x", script)
        let outcome = try await bed.run(
          Program.pvio,
          [
            "run", "--run-dir", bed.runDirectory, "--disk", "script=\(script)", "--", "sh", "-c",
            "qemu-io -f raw -c 'write -P 0x5a 64k 64k' -c flush -c 'read -P 0x5a 64k 64k' -c 'read -P 0 0 64k' \"$PVIO_DISK0_NBD\" && qemu-img info \"$PVIO_DISK0_NBD\"",
          ])
        #expect(outcome.succeeded && outcome.output.contains("8 MiB (8388608 bytes)"), "\(outcome.output)\(outcome.errors)")
        #expect(processes(mentioning: bed.runDirectory) == [])
      }
    }

    @Test func aScriptThatFailsIsAnErrorOfTheGuestAndALineOfTheBackEnd() async throws {
      try await withTestBed { bed in
        let script = try await exampleScript(in: bed.imageDirectory)
        try await bed.call("chmod", "+x", script)
        try await bed.call("sed", "-i", "s/  read) .*/  read) [ $4 -lt 65536 ] || { echo 'the tape is torn' >\\&2; exit 1; }; head -c $3 \\/dev\\/zero ;;/", script)
        try await bed.attach("script=\(script)")
        #expect(try await bed.storeValue("\(TestBed.backendPath)/params") == "script:\(script)")
        let export = try await bed.export()
        #expect(try await bed.qemuIO(["read 0 4k"]).succeeded)
        #expect(try await bed.qemuIO(["read 64k 4k"]).succeeded == false)
        #expect(try await bed.qemuIO(["write 64k 4k", "read 0 4k"]).succeeded)
        let log = try String(contentsOfFile: "\(bed.runDirectory)/devices/7-xvda/backend.log", encoding: .utf8)
        #expect(log.contains("\(script) failed at 'read' (exit code 1): the tape is torn"), "\(log)")
        let refused = try await bed.run(Program.pvio, ["resize", "7", "xvda", "16M"])
        #expect(refused.errors.contains("keeps its size"))
        try await bed.detach(export)
      }
    }
  }
}
