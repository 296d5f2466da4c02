import Foundation
import LinuxSystem
import Testing

extension Integration {
  /// Kinds of disks, and what happens to them while they are in use.
  @Suite struct Disks {
    @Test(.enabled(if: Program.arePresent("nbdinfo", "qemu-io"), "libnbd-bin or qemu-utils is not installed"))
    func aDiskGrowsWhileItIsInUse() async throws {
      try await withTestBed { bed in
        let image = try bed.emptyImage(megabytes: 16)
        try await bed.attach("file=\(image)")
        let export = try await bed.export()
        #expect(try await bed.call("nbdinfo", "--size", bed.nbdURI()) == "\(16 << 20)\n")
        let early = try RawNBDClient(socketPath: bed.nbdSocket())
        #expect(early.byteCount == 16 << 20)

        let answer = try await bed.pvio("resize", "7", "xvda", "48M")
        #expect(answer.contains("48M (\(48 << 20) bytes)"), "\(answer)")
        #expect(try await bed.storeValue("\(TestBed.backendPath)/sectors") == "\(48 << 11)")
        try await eventually("the front-end has heard of it") { try await bed.call("nbdinfo", "--size", bed.nbdURI()) == "\(48 << 20)\n" }
        let behind = try await bed.qemuIO(["write -P 0x42 40M 64k", "read -P 0x42 40M 64k"])
        #expect(behind.succeeded && !behind.output.contains("failed"), "\(behind.output)\(behind.errors)")
        // Who was there before is still served.
        #expect(try early.request(.read, offset: 0, byteCount: 4096).error == 0)
        #expect(try await bed.device().states == [4, 4])

        let shrink = try await bed.run(Program.pvio, ["resize", "7", "xvda", "16M"])
        #expect(shrink.ending == .exited(1))
        #expect(shrink.errors.contains("--shrink"), "\(shrink.errors)")
        #expect(try await bed.device().bytes == 48 << 20)
        try await bed.detach(export)
      }
    }

    @Test func memoryDisksKeepWhatIsWritten() async throws {
      try await withTestBed { bed in
        try await bed.attach("ram=8M")
        let export = try await bed.export()
        let client = try RawNBDClient(socketPath: bed.nbdSocket())
        #expect(client.byteCount == 8 << 20)
        let block = (0..<65536).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8) }
        #expect(try client.request(.read, offset: 1 << 20, byteCount: 4096).data == [UInt8](repeating: 0, count: 4096))
        #expect(try client.request(.write, offset: 1 << 20, byteCount: block.count, data: block).error == 0)
        #expect(try client.request(.flush, offset: 0, byteCount: 0).error == 0)
        #expect(try client.request(.read, offset: 1 << 20, byteCount: block.count).data == block)
        try await bed.detach(export)
      }
    }

    @Test func nullDisksTakeEverythingAndKeepNothing() async throws {
      try await withTestBed { bed in
        try await bed.attach("null=1G")
        let export = try await bed.export()
        let client = try RawNBDClient(socketPath: bed.nbdSocket())
        #expect(client.byteCount == 1 << 30)
        #expect(try client.request(.write, offset: 512 << 20, byteCount: 4096, data: [UInt8](repeating: 1, count: 4096)).error == 0)
        #expect(try client.request(.read, offset: 512 << 20, byteCount: 4096).error == 0)
        #expect(try await bed.status().backend?.failures == 0)
        try await bed.detach(export)
      }
    }

    @Test func aReadOnlyDiskRefusesWrites() async throws {
      try await withTestBed { bed in
        let image = try await bed.randomImage(megabytes: 1)
        let content = try Data(contentsOf: URL(fileURLWithPath: image))
        try await bed.attach("file=\(image),readonly=on")
        #expect(try await bed.storeValue("\(TestBed.backendPath)/mode") == "r")
        let export = try await bed.export()
        #expect(try await bed.storeValue("\(TestBed.backendPath)/info") == "4")
        #expect(try await bed.device().read_only == true)
        let client = try RawNBDClient(socketPath: bed.nbdSocket())
        #expect(client.flags & 2 != 0, "NBD_FLAG_READ_ONLY")
        let refusal = try client.request(.write, offset: 0, byteCount: 512, data: [UInt8](repeating: 9, count: 512)).error
        #expect(refusal == 1, "NBD_EPERM")
        #expect(try client.request(.trim, offset: 0, byteCount: 4096).error != 0)
        #expect(try client.request(.read, offset: 0, byteCount: 4096).data == Array(content.prefix(4096)))
        try await bed.detach(export)
        #expect(try Data(contentsOf: URL(fileURLWithPath: image)) == content)
      }
    }

    @Test func requestsThatTheDiskCannotDoAreRefusedOneByOne() async throws {
      try await withTestBed { bed in
        try await bed.attach("file=\(try bed.emptyImage(megabytes: 1)),sector-size=4096")
        let export = try await bed.export()
        let client = try RawNBDClient(socketPath: bed.nbdSocket())
        let page = [UInt8](repeating: 7, count: 4096)
        #expect(try client.request(.write, offset: 1 << 20, byteCount: 4096, data: page).error != 0)
        #expect(try client.request(.write, offset: UInt64.max - 4095, byteCount: 4096, data: page).error != 0)
        #expect(try client.request(.write, offset: 512, byteCount: 4096, data: page).error == 22, "NBD_EINVAL")
        #expect(try client.request(.read, offset: 0, byteCount: 512).error == 22, "NBD_EINVAL")
        #expect(try client.request(.write, offset: (1 << 20) - 4096, byteCount: 4096, data: page).error == 0)
        #expect(try client.request(.read, offset: (1 << 20) - 4096, byteCount: 4096).data == page)
        try await bed.detach(export)
      }
    }
  }
}
