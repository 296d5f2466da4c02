import DriverCommands
import Glibc
import LinuxSystem

/// The files that the block benchmark reads, full of data that no file system can leave out, and removed with this value.
struct BenchFiles: ~Copyable {
  /// On the real disk; nil when no case reads it.
  let diskPath: String?
  /// On tmpfs, for a peer that serves files only.
  let memoryPath: String?
  /// Where the peer listens.
  let socketPath: String

  static func make(onDisk directory: String?, inMemory: Bool) throws -> BenchFiles {
    let name = "pvio-bench-\(getpid())"
    let files = BenchFiles(
      diskPath: directory.map { "\($0)/\(name).img" }, memoryPath: inMemory ? "/dev/shm/\(name).img" : nil, socketPath: "/tmp/\(name).sock")
    for path in [files.diskPath, files.memoryPath] {
      if let path { try fill(path) }
    }
    return files
  }

  private static func fill(_ path: String) throws {
    let arguments = ["if=/dev/urandom", "of=\(path)", "bs=1M", "count=\(BlockCase.diskMebibytes)", "conv=fsync", "status=none"]
    guard try OwnedChildProcess.start("dd", arguments: arguments).waitForExit() == .exited(0) else {
      throw BenchFailure("\(path): cannot write \(BlockCase.diskMebibytes) MiB (choose another --directory)")
    }
  }

  deinit {
    for path in [diskPath, memoryPath, socketPath] {
      // SAFETY: each path is a terminated string for the length of the call.
      if let path { unsafe unlink(path) }
    }
  }
}
