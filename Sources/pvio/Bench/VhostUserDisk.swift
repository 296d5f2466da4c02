import Glibc
import LinuxSystem
import SystemPackage

/// A process that serves one disk over vhost-user-blk from processor 1, and `Peers/vublk.c` that drives it from processor 0: ours and
/// qemu-storage-daemon in the same shape.
final class VhostUserDisk {
  private let server: ChildProcess
  private let socketPath: String
  private let front: PeerProgram
  /// Whether the disk is empty at first: pages of memory that were never written are all the same page of zeros.
  private let isEmpty: Bool

  private init(server: ChildProcess, socketPath: String, front: PeerProgram, isEmpty: Bool) {
    self.server = server
    self.socketPath = socketPath
    self.front = front
    self.isEmpty = isEmpty
  }

  deinit {
    server.send(signal: SIGKILL)
    server.wait()
    UnixSocket.removeFile(at: socketPath)
  }

  /// qemu-storage-daemon with an iothread of its own.
  static func storageDaemon(_ target: BlockCase.Target, files: borrowing BenchFiles) throws -> VhostUserDisk {
    let node =
      switch target {
      case .null: "driver=null-co,node-name=disk,size=\(BlockCase.diskMebibytes << 20),read-zeroes=off"
      case .memory: "driver=file,node-name=disk,filename=\(files.memoryPath ?? ""),aio=threads"
      case .file: "driver=file,node-name=disk,filename=\(files.diskPath ?? ""),cache.direct=on,aio=io_uring,read-only=on"
      }
    let access = target == .file ? "off" : "on"
    return try start(
      [
        "qemu-storage-daemon", "--object", "iothread,id=loop", "--blockdev", node, "--export",
        "type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=\(files.socketPath),writable=\(access),iothread=loop,num-queues=1",
      ], socketPath: files.socketPath, isEmpty: false, hint: "install it (apt-get install qemu-system-common)")
  }

  /// `pvio backend block --socket-path`.
  static func ours(_ blockCase: BlockCase, files: borrowing BenchFiles) throws -> VhostUserDisk {
    try start(
      [
        ChildProcess.ownExecutable, "backend", "block", "--disk", "\(blockCase.backing(filePath: files.diskPath ?? "")),queues=1", "--socket-path",
        files.socketPath, "--processor", "1",
      ], socketPath: files.socketPath, isEmpty: blockCase.target == .memory, hint: "run it by hand to see why")
  }

  private static func start(_ command: [String], socketPath: String, isEmpty: Bool, hint: String) throws -> VhostUserDisk {
    let front = try PeerProgram.compile("vublk", package: "linux-libc-dev")
    let server: ChildProcess
    do throws(Errno) {
      let nowhere = try OwnedDescriptor.open("/dev/null", flags: O_RDWR)
      var streams = ChildProcess.Options()
      streams.standardOutput = nowhere.rawValue
      server = try ChildProcess.spawn("taskset", ["-c", "1"] + command, streams)
    } catch {
      throw BenchFailure("cannot start \(command[0]): \(error)")
    }
    let disk = VhostUserDisk(server: server, socketPath: socketPath, front: front, isEmpty: isEmpty)
    for _ in 0..<500 {
      // SAFETY: the path is a terminated string for the length of the call.
      if unsafe access(socketPath, F_OK) == 0 { return disk }
      if server.poll() != nil { break }
      usleep(10_000)
    }
    throw BenchFailure("\(command[0]) does not listen: \(hint)")
  }

  func measure(depth: Int, seconds: Double) throws -> BlockFigures {
    // What filling costs is not the requests'.
    if isEmpty { _ = try run(depth: 1, seconds: 0.001, fills: true) }
    let before = try ProcessorTime.nanoseconds(of: server.processID)
    let output = try run(depth: depth, seconds: seconds, fills: false)
    let spent = try ProcessorTime.nanoseconds(of: server.processID) - before
    return BlockFigures(
      requestsPerSecond: output[0], medianNanoseconds: output[1], tailNanoseconds: output[2],
      backendNanoseconds: Double(spent) / (output[0] * seconds))
  }

  private func run(depth: Int, seconds: Double, fills: Bool) throws -> [Double] {
    let output = try BenchProcess.numbers(
      printedBy: front.path, [socketPath, "\(depth)", "\(BlockCase.blockByteCount)", "\(seconds)", "0"] + (fills ? ["fill"] : []))
    guard output.count == 3 else { throw BenchFailure("vublk printed \(output.count) numbers") }
    return output
  }
}
