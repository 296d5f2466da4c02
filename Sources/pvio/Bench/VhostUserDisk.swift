import Glibc
import LinuxSystem
import SystemPackage

/// qemu-storage-daemon with an iothread of its own on processor 1, serving a tmpfs file over vhost-user-blk; `vublk` on processor 0.
final class StorageDaemonPeer {
  private let daemon: ChildProcess
  private let socketPath: String
  private let front: PeerProgram

  private init(daemon: ChildProcess, socketPath: String, front: PeerProgram) {
    self.daemon = daemon
    self.socketPath = socketPath
    self.front = front
  }

  deinit {
    daemon.send(signal: SIGKILL)
    daemon.wait()
  }

  static func start(serving path: String, socketPath: String) throws -> StorageDaemonPeer {
    let front = try PeerProgram.compile("vublk", package: "linux-libc-dev")
    let program = "qemu-storage-daemon"
    let arguments = [
      "-c", "1", program, "--object", "iothread,id=loop",
      "--blockdev", "driver=file,node-name=disk,filename=\(path),aio=threads",
      "--export", "type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=\(socketPath),writable=on,iothread=loop,num-queues=1",
    ]
    let daemon: ChildProcess
    do { daemon = try ChildProcess.spawn("taskset", arguments) } catch { throw BenchFailure("cannot start \(program): \(error)") }
    let peer = StorageDaemonPeer(daemon: daemon, socketPath: socketPath, front: front)
    for _ in 0..<500 {
      // SAFETY: the path is a terminated string for the length of the call.
      if unsafe access(socketPath, F_OK) == 0 { return peer }
      if daemon.poll() != nil { break }
      usleep(10_000)
    }
    throw BenchFailure("\(program) does not listen: install it (apt-get install qemu-system-common)")
  }

  func measure(depth: Int, seconds: Double) throws -> BlockFigures {
    let before = try ProcessorTime.nanoseconds(of: daemon.processID)
    let output = try BenchProcess.numbers(printedBy: front.path, [socketPath, "\(depth)", "\(BlockCase.blockByteCount)", "\(seconds)", "0"])
    guard output.count == 3 else { throw BenchFailure("vublk printed \(output.count) numbers") }
    let spent = try ProcessorTime.nanoseconds(of: daemon.processID) - before
    return BlockFigures(
      requestsPerSecond: output[0], medianNanoseconds: output[1], tailNanoseconds: output[2],
      backendNanoseconds: Double(spent) / (output[0] * seconds))
  }
}
