import Foundation
import LinuxSystem
import Testing

extension Integration {
  /// NBD clients that nobody here wrote.
  @Suite struct Clients {
    @Test(.enabled(if: Program.arePresent("nbdcopy", "cmp", "dd"), "nbdcopy (libnbd-bin) is not installed"))
    func copiesAreBitExactBothWays() async throws {
      try await withTestBed { bed in
        let image = try bed.emptyImage(megabytes: 128)
        let original = try await bed.randomImage(megabytes: 128)
        try await bed.attach("file=\(image)")
        let export = try await bed.export()
        try await bed.call("nbdcopy", original, bed.nbdURI())
        let copy = "\(bed.imageDirectory)/copy.img"
        try await bed.call("nbdcopy", bed.nbdURI(), copy)
        try await bed.call("cmp", original, copy)
        try await bed.detach(export)
        // And the image itself, without anything of ours in between.
        try await bed.call("cmp", original, image)
        #expect(try await bed.devices() == [])
      }
    }

    @Test(.enabled(if: Program.arePresent("qemu-img", "qemu-nbd", "nbdinfo"), "qemu-utils or libnbd-bin is not installed"))
    func theyFindOutWhatTheDiskIs() async throws {
      try await withTestBed { bed in
        try await bed.attach("file=\(try bed.emptyImage(megabytes: 64))")
        let export = try await bed.export()

        struct ImageInformation: Decodable {
          var virtualSize: Int
          var format: String
          enum CodingKeys: String, CodingKey {
            case virtualSize = "virtual-size"
            case format
          }
        }
        let text = try await bed.call("qemu-img", "info", "--output=json", bed.nbdURI())
        let image = try JSONDecoder().decode(ImageInformation.self, from: Data(text.utf8))
        #expect(image.virtualSize == 64 << 20)
        #expect(image.format == "raw")

        let exports = try await bed.call("qemu-nbd", "--list", "-k", bed.nbdSocket())
        #expect(exports.contains("exports available: 1"))
        #expect(exports.contains("size:  \(64 << 20)"))

        struct Information: Decodable {
          struct Export: Decodable {
            var exportSize: Int
            var isReadOnly: Bool
            var canFlush: Bool
            var canFUA: Bool
            var canTrim: Bool
            var canZero: Bool
            var canMultiConn: Bool
            var minimumBlock: Int
            enum CodingKeys: String, CodingKey {
              case exportSize = "export-size"
              case isReadOnly = "is_read_only"
              case canFlush = "can_flush"
              case canFUA = "can_fua"
              case canTrim = "can_trim"
              case canZero = "can_zero"
              case canMultiConn = "can_multi_conn"
              case minimumBlock = "block_size_minimum"
            }
          }
          var structured: Bool
          var exports: [Export]
        }
        let answer = try await bed.call("nbdinfo", "--json", bed.nbdURI())
        let information = try JSONDecoder().decode(Information.self, from: Data(answer.utf8))
        #expect(information.structured)
        let disk = try #require(information.exports.first)
        #expect(disk.exportSize == 64 << 20)
        #expect(disk.minimumBlock == 512)
        #expect(!disk.isReadOnly)
        #expect(disk.canFlush && disk.canFUA && disk.canTrim && disk.canZero && disk.canMultiConn)
        try await bed.detach(export)
      }
    }

    @Test(.enabled(if: Program.arePresent("fio"), "fio is not installed"))
    func fioVerifiesWhatItWroteOverFourQueues() async throws {
      try await withTestBed { bed in
        try await bed.attach("file=\(try bed.emptyImage(megabytes: 64))")
        let export = try await bed.export()
        let load = try bed.verifyingLoad(megabytes: 24)
        #expect(try await load.finish() == .exited(0), "\(load.errors)")
        try await eventually("the status has seen the load") { try await bed.status().backend?.writes ?? 0 >= 24 * 256 }
        let queues = try #require(try await bed.status().backend?.queues)
        #expect(queues.count == 4)
        for queue in queues { #expect(queue.requests > 0 && queue.fault == nil) }
        try await bed.detach(export)
      }
    }

    @Test(.enabled(if: Program.arePresent("mkfs.ext4", "e2fsck", "debugfs", "nbdcopy"), "e2fsprogs or libnbd-bin is not installed"))
    func aFileSystemSurvivesTheWayThroughTheDisk() async throws {
      try await withTestBed { bed in
        let files = "\(bed.directory)/files"
        try FileManager.default.createDirectory(atPath: files, withIntermediateDirectories: true)
        let payload = "\(files)/payload"
        try await bed.call("dd", "if=/dev/urandom", "of=\(payload)", "bs=64k", "count=80", "status=none")
        try "a file with text".write(toFile: "\(files)/hello", atomically: true, encoding: .utf8)
        let original = try bed.emptyImage("original.img", megabytes: 32)
        try await bed.call("mkfs.ext4", "-q", "-F", "-d", files, original)

        try await bed.attach("file=\(try bed.emptyImage(megabytes: 32))")
        let export = try await bed.export()
        try await bed.call("nbdcopy", original, bed.nbdURI())
        let copy = "\(bed.imageDirectory)/copy.img"
        try await bed.call("nbdcopy", bed.nbdURI(), copy)
        try await bed.detach(export)

        for image in [copy, "\(bed.imageDirectory)/disk.img"] {
          try await bed.call("e2fsck", "-fn", image)
          let extracted = "\(bed.directory)/extracted"
          try await bed.call("debugfs", "-R", "dump /payload \(extracted)", image)
          try await bed.call("cmp", payload, extracted)
        }
      }
    }
  }
}
