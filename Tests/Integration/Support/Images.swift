import Foundation
import LinuxSystem

extension TestBed {
  /// A new image of `megabytes`, full of holes.
  func emptyImage(_ name: String = "disk.img", megabytes: Int) throws -> String {
    let path = "\(imageDirectory)/\(name)"
    guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path) else {
      throw TestFailure("cannot create \(path)")
    }
    try file.truncate(atOffset: UInt64(megabytes) << 20)
    try file.close()
    return path
  }

  /// A new image of `megabytes`, full of random bytes.
  func randomImage(_ name: String = "random.img", megabytes: Int) async throws -> String {
    let path = "\(imageDirectory)/\(name)"
    try await call("dd", "if=/dev/urandom", "of=\(path)", "bs=1M", "count=\(megabytes)", "status=none")
    return path
  }

  /// Makes domain 7 and attaches a disk to it. Returns the back-end's process.
  @discardableResult
  func attach(_ spec: String) async throws -> Int32 {
    try await pvio("domain", "create", "--domid", "7", "guest")
    try await pvio("attach", "7", "disk", spec)
    guard let process = try await device().backend_pid else { throw TestFailure("the disk has no back-end") }
    return process
  }

  /// Takes the disk off while its export runs; both ends are to close by themselves, and the export to end.
  func detach(_ export: RunningProgram) async throws {
    let outcome = try await run(Program.pvio, ["detach", "7", "xvda"])
    guard outcome.succeeded, outcome.errors == "" else { throw TestFailure("detach: \(outcome.ending) \(outcome.errors)") }
    let ending = try await export.finish()
    guard ending == .exited(0) else { throw TestFailure("the export ended with \(ending): \(export.errors)") }
  }

  /// `qemu-io` on the exported disk, with the commands given.
  func qemuIO(_ commands: [String], on id: String = "7-xvda", readOnly: Bool = false) async throws -> Outcome {
    try await run("qemu-io", ["-f", "raw"] + (readOnly ? ["-r"] : []) + commands.flatMap { ["-c", $0] } + [nbdURI(id)])
  }

  /// A load that writes random blocks of 4 KiB and verifies each, 64 at a time, over the first `megabytes` of the disk.
  func verifyingLoad(megabytes: Int, loops: Int = 1, on id: String = "7-xvda") throws -> RunningProgram {
    try start(
      "fio",
      [
        "--name=verify", "--ioengine=nbd", "--uri=\(nbdURI(id))", "--rw=randwrite", "--bs=4k", "--iodepth=64", "--size=\(megabytes)M",
        "--verify=crc32c", "--do_verify=1", "--verify_state_save=0", "--verify_fatal=1", "--loops=\(loops)", "--randrepeat=1", "--minimal",
      ])
  }
}
