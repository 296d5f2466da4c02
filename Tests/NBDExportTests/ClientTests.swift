import BlockFront
import BlockTestSupport
import EventLoop
import Foundation
import NBDExport
import Testing
import XenInterface

/// Clients that nobody here wrote, against a device in memory.
@Suite struct ClientTests {
  static let size = 48 << 20

  private func device(info: VdiskInfo = [], export: NBDExportConfiguration = NBDExportConfiguration()) async throws -> ExportedDevice {
    try await ExportedDevice.start(
      .device(sectorCount: UInt64(Self.size / 512), info: info, flushes: true, discards: true), export: export)
  }

  @Test(.enabled(if: Client.has("nbdinfo"), "needs nbdinfo (package libnbd-bin)"))
  func nbdinfoSeesTheDevice() async throws {
    var export = NBDExportConfiguration()
    export.name = "disk0"
    let device = try await device(export: export)
    let result = try await Client.run("nbdinfo", ["--json", device.uri])
    #expect(result.status == 0, "\(result.errors)")
    let json = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    #expect(json["structured"] as? Bool == true)
    let seen = try #require((json["exports"] as? [[String: Any]])?.first)
    #expect(seen["export-size"] as? Int == Self.size)
    #expect(seen["is_read_only"] as? Bool == false)
    #expect(seen["can_flush"] as? Bool == true)
    #expect(seen["can_fua"] as? Bool == true)
    #expect(seen["can_trim"] as? Bool == true)
    #expect(seen["can_zero"] as? Bool == true)
    #expect(seen["can_multi_conn"] as? Bool == true)
    #expect(seen["block_size_minimum"] as? Int == 512)
    let list = try await Client.run("nbdinfo", ["--list", device.uri])
    #expect(list.output.contains("disk0"), "\(list.output)\(list.errors)")
    let unknown = try await Client.run("nbdinfo", ["nbd+unix:///nothing?socket=\(device.socketPath)"])
    #expect(unknown.status != 0)
    #expect(unknown.errors.contains("No such file or directory"), "\(unknown.errors)")
    #expect(await device.stop() == 0)
  }

  @Test(.enabled(if: Client.has("qemu-nbd", "qemu-img"), "needs qemu-nbd and qemu-img (package qemu-utils)"))
  func qemuListsAndDescribesTheDevice() async throws {
    let device = try await device(info: .readOnly)
    let list = try await Client.run("qemu-nbd", ["--list", "-k", device.socketPath])
    #expect(list.status == 0, "\(list.errors)")
    #expect(list.output.contains("\(Self.size)"))
    #expect(list.output.contains("readonly"))
    #expect(list.output.contains("multi"))
    let info = try await Client.run("qemu-img", ["info", "--output=json", device.uri])
    #expect(info.status == 0, "\(info.errors)")
    #expect(info.output.contains("\"virtual-size\": \(Self.size)"))
    #expect(await device.stop() == 0)
  }

  @Test(.enabled(if: Client.has("nbdcopy"), "needs nbdcopy (package libnbd-bin)"))
  func nbdcopyCopiesBothWaysBitExactly() async throws {
    let device = try await device()
    let image = device.directory.appending(path: "image")
    let back = device.directory.appending(path: "back")
    let bytes = pattern(Self.size, seed: 5)
    try Data(bytes).write(to: image)
    let inward = try await Client.run("nbdcopy", ["--flush", image.path, device.uri])
    #expect(inward.status == 0, "\(inward.errors)")
    #expect(await device.contents() == bytes)
    let outward = try await Client.run("nbdcopy", [device.uri, back.path])
    #expect(outward.status == 0, "\(outward.errors)")
    #expect(try Data(contentsOf: back) == Data(bytes))
    let large = try await Client.run("nbdcopy", ["--request-size=\(32 << 20)", "--connections=1", device.uri, back.path])
    #expect(large.status == 0, "\(large.errors)")
    #expect(try Data(contentsOf: back) == Data(bytes))
    #expect(await device.stop() == 0)
  }

  @Test(.enabled(if: Client.has("qemu-img"), "needs qemu-img (package qemu-utils)"))
  func qemuConvertsAndCompares() async throws {
    let device = try await device()
    let image = device.directory.appending(path: "image")
    try Data(pattern(20 << 20, seed: 8) + Array(repeating: 0, count: 28 << 20)).write(to: image)
    let convert = try await Client.run("qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", image.path, device.uri])
    #expect(convert.status == 0, "\(convert.errors)")
    let compare = try await Client.run("qemu-img", ["compare", "-f", "raw", "-F", "raw", image.path, device.uri])
    #expect(compare.status == 0, "\(compare.output)\(compare.errors)")
    #expect(await device.stop() == 0)
  }

  @Test(.enabled(if: Client.has("qemu-io"), "needs qemu-io (package qemu-utils)"))
  func qemuIoReadsWritesZeroesAndDiscards() async throws {
    let device = try await device()
    let commands = [
      "write -P 0xab 1M 3M", "write -f -P 0xcd 512 512", "read -P 0xab 1M 3M", "read -P 0xcd 512 512", "write -z 2M 1M",
      "read -P 0 2M 1M", "write -z -u 1M 64k", "discard 3M 64k", "flush", "writev -P 0x11 8M 4k 8k 512", "read -P 0x11 8M 12800",
      "aio_write -P 0x22 10M 1M", "aio_flush", "read -P 0x22 10M 1M",
    ]
    let result = try await Client.run("qemu-io", ["-f", "raw"] + commands.flatMap { ["-c", $0] } + [device.uri])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(!result.output.contains("failed"), "\(result.output)")
    let taken = await device.pair.thread.loop.run { [backend = device.backend] in backend.value.taken }
    #expect(taken[BlkifOperation.discard.rawValue, default: 0] >= 1)
    #expect(taken[BlkifOperation.flush.rawValue, default: 0] >= 1)
    let contents = await device.contents()
    #expect(contents[(2 << 20)..<(3 << 20)].allSatisfy { $0 == 0 })
    #expect(contents[(3 << 20 + 64 << 10)..<(4 << 20)].allSatisfy { $0 == 0xAB })
    #expect(await device.stop() == 0)
  }

  @Test(.enabled(if: Client.has("qemu-io"), "needs qemu-io (package qemu-utils)"))
  func clientsAreToldOfErrorsAndGoOn() async throws {
    let device = try await ExportedDevice.start(.device(sectorCount: 2048), misbehaviour: .failsTransfers)
    let result = try await Client.run("qemu-io", ["-f", "raw", "-c", "read 0 4k", "-c", "write 0 512k", "-c", "read 8k 512k", device.uri])
    #expect(result.output.components(separatedBy: "Input/output error").count == 4, "\(result.output)\(result.errors)")
    #expect(await device.stop() == 0)
  }

  @Test(.enabled(if: Client.has("fio"), "needs fio with the nbd engine (package fio)"))
  func fioVerifiesWhatItWrote() async throws {
    let device = try await device()
    let result = try await Client.run(
      "fio",
      [
        "--name=verify", "--ioengine=nbd", "--uri=\(device.uri)", "--rw=randwrite", "--bsrange=512-300k", "--bs_unaligned=0",
        "--blockalign=512", "--size=\(Self.size)", "--io_size=64m", "--iodepth=64", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1",
        "--randseed=7", "--group_reporting", "--fsync=32", "--verify_state_save=0",
      ])
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(await device.stop() == 0)
  }

  @Test(.enabled(if: Client.has("nbdcopy"), "needs nbdcopy (package libnbd-bin)"))
  func aCopyGoesOnWhenTheBackEndIsReplaced() async throws {
    let device = try await device()
    let image = device.directory.appending(path: "image")
    let bytes = pattern(Self.size, seed: 1)
    try Data(bytes).write(to: image)
    // Ended in an orderly way while idle: what clients ask meanwhile waits for the next back-end.
    await device.pair.kill(device.backend)
    _ = await device.pair.disconnect()
    async let copy = Client.run("nbdcopy", [image.path, device.uri])
    while await device.pair.thread.loop.run({ [pair = device.pair] in pair.frontend.plane.value.waitingCount }) == 0 {}
    let next = try await device.pair.connect(.device(sectorCount: UInt64(Self.size / 512)), shape: ExportedDevice.shape())
    let result = try await copy
    #expect(result.status == 0, "\(result.errors)")
    #expect(await device.pair.thread.loop.run { next.value.bytes } == bytes)
    await device.server.stop()
    await device.pair.kill(next)
    _ = await device.pair.disconnect()
    await device.pair.close()
    #expect(device.pair.hypervisor.ledger.arenas == 0)
  }

  @Test func theSocketIsForItsOwnerOnlyAndGoesAway() async throws {
    let device = try await device()
    let attributes = try FileManager.default.attributesOfItem(atPath: device.socketPath)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    #expect(await device.stop() == 0)
    #expect(!FileManager.default.fileExists(atPath: device.socketPath))
  }
}
