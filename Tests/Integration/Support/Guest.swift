import Foundation
import Glibc
import LinuxSystem

/// A real guest: Debian's kernel in QEMU, with disks and interfaces that `pvio run` serves. `Tests/VMM/build-guest.sh` makes what it boots.
final class Guest {
  let bed: TestBed
  let program: RunningProgram

  /// Whether this machine can run one.
  static let isAvailable = Program.arePresent("qemu-system-x86_64", "apt-get", "dpkg-deb", "python3", "fio", "mke2fs", "e2fsck")
  static let reason = "there is no guest here: it takes qemu-system-x86, fio, e2fsprogs, python3 and apt-get"

  /// Where the kernel, the first file system and the image with tools are. Made when asked for the first time.
  private static func parts(_ bed: TestBed) async throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let outcome = try await bed.run(root.appendingPathComponent("VMM/build-guest.sh").path, [])
    guard outcome.succeeded else { throw TestFailure("the guest cannot be made: \(outcome.errors)") }
    return root.deletingLastPathComponent().appendingPathComponent(".build/vmm").path
  }

  private static let kernelArguments =
    "console=ttyS0 quiet panic=-1 nokaslr mitigations=off no_timer_check tsc=reliable random.trust_cpu=on nowatchdog cryptomgr.notests "
    + "net.ifnames=0"

  /// Boots a guest that runs `checks` with its tools mounted; `devices` are arguments of `pvio run`, and `placeholders` what QEMU gets of them
  /// besides the tools. The tools are the last disk.
  static func boot(
    _ bed: TestBed, checks: String, devices: [String], placeholders: [String], diskCount: Int, address: String? = nil, inNamespace namespace: String? = nil
  ) async throws -> Guest {
    let parts = try await parts(bed)
    let tools = "vd\(["a", "b", "c"][diskCount])"
    let initrd = try await makeInitrd(bed, parts, checks: checks, settings: "TOOLS=/dev/\(tools)\nADDRESS=\(address ?? "")\n")
    let qemu =
      [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35", "-accel", "tcg,thread=multi",
        "-cpu", "max", "{memory:256M}", "-kernel", "\(parts)/vmlinux", "-initrd", initrd, "-append", kernelArguments, "-serial",
        "file:\(bed.directory)/console", "-serial", "stdio",
      ] + placeholders + ["{disk\(diskCount)}"]
    let program = try bed.start(
      Program.pvio,
      ["run", "--run-dir", bed.runDirectory] + devices + ["--disk", "file=\(parts)/tools.img,readonly=on,queues=1", "--"] + qemu)
    return Guest(bed, program)
  }

  private init(_ bed: TestBed, _ program: RunningProgram) {
    self.bed = bed
    self.program = program
  }

  /// The first file system with what this guest is to do behind it: the kernel takes one archive after the other.
  private static func makeInitrd(_ bed: TestBed, _ parts: String, checks: String, settings: String) async throws -> String {
    let folder = "\(bed.directory)/initrd"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try checks.write(toFile: "\(folder)/checks", atomically: true, encoding: .utf8)
    try settings.write(toFile: "\(folder)/settings", atomically: true, encoding: .utf8)
    try await bed.call(
      "sh", "-c", "cd '\(folder)' && printf 'checks\\nsettings\\n' | '\(parts)/busybox' cpio -o -H newc 2>/dev/null | cat '\(parts)/initrd' - >../guest.initrd")
    return "\(bed.directory)/guest.initrd"
  }

  /// Everything that the guest has printed.
  var output: String { program.output }

  /// Waits until the guest has printed `text`.
  func wait(for text: String, within patience: Duration = .seconds(60)) async throws {
    try await eventually("the guest says '\(text)'", within: patience) {
      if output.contains(text) { return true }
      guard program.isRunning else { throw TestFailure("the guest ended without saying '\(text)':\n\(output)\n\(program.errors)\n\(console)") }
      return false
    }
  }

  /// Waits until the checks have ended and the guest has gone; throws unless they succeeded.
  func finish(within patience: Duration = .seconds(180)) async throws {
    try await wait(for: "guest: exit ", within: patience)
    try await eventually("pvio run ends with its guest") { !program.isRunning }
    guard output.contains("guest: exit 0"), program.ending == .exited(0) else {
      throw TestFailure("the guest's checks failed:\n\(output)\n\(program.errors)\n\(console)")
    }
  }

  /// The end of the kernel's messages.
  private var console: String { String(((try? TextFile.read("\(bed.directory)/console")) ?? "").suffix(2000)) }

  /// The process that serves a device now.
  func backendProcess(_ id: String) async throws -> Int32 {
    guard let process = try await bed.devices().first(where: { $0.id == id })?.backend_pid else { throw TestFailure("\(id) has no back-end") }
    return process
  }
}
