import Foundation
import LinuxSystem
import Testing

extension Integration {
  /// A guest whose firmware has nothing but the disk: SeaBIOS, which QEMU brings along, reads and writes over vhost-user with its own driver.
  @Suite(.enabled(if: Guest.isAvailable, "\(Guest.reason)"))
  struct Firmware {
    /// What the firmware loads at 0x7c00 and starts, with the disk's number in `dl`. Reads sectors 1 to 3 to an odd address, writes them from there to
    /// sectors 8 to 10, and prints what it has read, up to a zero, on the first serial line (or an E); then resets the machine, which ends QEMU.
    private static let bootSector: [UInt8] = [
      0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c,  // xor ax,ax; mov ds,ax; mov es,ax; mov ss,ax; mov sp,0x7c00
      0xbe, 0x39, 0x7c, 0xb4, 0x42, 0xcd, 0x13, 0x72, 0x18,  // mov si,read; mov ah,0x42; int 0x13; jc failed
      0xbe, 0x49, 0x7c, 0xb8, 0x00, 0x43, 0xcd, 0x13, 0x72, 0x0e,  // mov si,write; mov ax,0x4300; int 0x13; jc failed
      0xbe, 0x03, 0x90,  // mov si,0x9003
      0xac, 0x84, 0xc0, 0x74, 0x0c,  // next: lodsb; test al,al; jz end
      0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf5,  // mov dx,0x3f8; out dx,al; jmp next
      0xb0, 0x45, 0xba, 0xf8, 0x03, 0xee,  // failed: mov al,'E'; mov dx,0x3f8; out dx,al
      0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd,  // end: mov al,0xfe; out 0x64,al; halt: hlt; jmp halt
      16, 0, 3, 0, 0x03, 0x90, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,  // read: 3 sectors to 0:0x9003, from sector 1
      16, 0, 3, 0, 0x03, 0x90, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,  // write: 3 sectors from there, to sector 8
    ]

    /// The firmware's buffers begin anywhere, and files want aligned ones; memory does not care, a block of 4096 bytes is larger than a sector.
    @Test func theFirmwareBootsFromADiskWhateverItsBuffersAre() async throws {
      try await withTestBed(daemon: false) { bed in
        let text = "booted from the disk: " + String(repeating: "sector after sector, ", count: 60)
        var image = [UInt8](repeating: 0, count: 1 << 20)
        image.replaceSubrange(0..<Self.bootSector.count, with: Self.bootSector)
        image.replaceSubrange(510..<512, with: [0x55, 0xaa])
        image.replaceSubrange(512..<512 + text.utf8.count, with: Array(text.utf8))
        let path = try bed.emptyImage(megabytes: 1)
        try Data(image).write(to: URL(fileURLWithPath: path))
        let run = try bed.start(
          Program.pvio,
          [
            "run", "--run-dir", bed.runDirectory, "--disk", "file=\(path),queues=1", "--", "qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-machine", "q35", "-accel", "tcg", "{memory:64M}", "-serial", "stdio", "{disk0,bootindex=0}",
          ])
        try await eventually("the machine is reset by what it has booted", within: .seconds(60)) { !run.isRunning }
        #expect(run.ending == .exited(0) && run.output.contains(text), "\(run.output) \(run.errors)")
        let after = try Array(Data(contentsOf: URL(fileURLWithPath: path)))
        image.replaceSubrange(8 * 512..<11 * 512, with: image[512..<4 * 512])
        #expect(after == image, "what was written is what was read, and nothing else")
      }
    }
  }
}
