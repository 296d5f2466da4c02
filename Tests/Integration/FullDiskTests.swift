import Glibc
import Testing

extension Integration {
  @Suite struct FullDisks {
    @Test(.enabled(if: geteuid() == 0 && Program.arePresent("mount"), "needs root, for a small tmpfs"))
    func aWriteThatFindsNoSpaceFailsAloneAndIsShown() async throws {
      try await withTestBed { bed in
        let image = "\(try await bed.mountMemory(byteCount: 4 << 20))/sparse.img"
        try await bed.call("truncate", "-s", "64M", image)
        try await bed.attach("file=\(image),direct=off")
        let export = try await bed.export()
        let client = try RawNBDClient(socketPath: bed.nbdSocket())
        let block = [UInt8](repeating: 0x5a, count: 1 << 20)
        #expect(try client.request(.write, offset: 0, byteCount: block.count, data: block).error == 0)
        var errors: [UInt32] = []
        for megabyte in 1..<8 as Range<UInt64> {
          errors.append(try client.request(.write, offset: megabyte << 20, byteCount: block.count, data: block).error)
        }
        // EIO or ENOSPC: blkif has one code for everything that went wrong.
        #expect(errors.last == 5 || errors.last == 28, "\(errors)")

        try await eventually("the status shows it") { try await bed.status().backend?.failures ?? 0 > 0 }
        let failure = try #require(try await bed.status().backend?.last_failure)
        #expect(failure.lowercased().contains("no space left"), "\(failure)")
        #expect(try await bed.pvio("status").contains(failure))

        #expect(try client.request(.read, offset: 0, byteCount: block.count).data == block)
        #expect(try await bed.device().states == [4, 4])
        #expect(export.errors == "")
        try await bed.detach(export)
      }
    }
  }
}
