import Glibc
import LinuxSystem
import SystemPackage

/// A daemon with a xenstore socket, in a process of its own, that is measured; ended with this object.
final class StoreDaemonUnderLoad {
  /// What is measured.
  enum Kind {
    case ours(stateDirectory: String?)
    case peer(BenchStore.Peer, preparedIn: String)
  }

  let socketPath: String
  private let process: ChildProcess
  private let directory: String
  private let stateDirectory: String?

  /// Starts the daemon and waits until it answers. `name` tells the daemons of one run apart.
  static func start(_ kind: Kind, name: String) throws -> StoreDaemonUnderLoad {
    let directory = "/tmp/pvio-bench-\(getpid())-\(name)"
    var options = ChildProcess.Options()
    let null = try OwnedDescriptor.open("/dev/null", flags: O_RDWR)
    options.standardOutput = null.rawValue
    let process: ChildProcess
    var state: String?
    let socketPath: String
    do {
      switch kind {
      case .ours(let stateDirectory):
        state = stateDirectory.map { "\($0)/pvio-bench-\(getpid())-state" }
        socketPath = "\(directory)/xenstored/socket"
        let arguments = ["daemon", "--run-dir", directory] + (state.map { ["--state-dir", $0] } ?? [])
        process = try ChildProcess.spawn("/proc/self/exe", arguments, options)
      case .peer(.ceiling, _):
        // All that it has in the file system.
        socketPath = directory
        process = try ChildProcess.spawn(try PeerProgram.compile("xsceiling", package: "libc6-dev", libraries: []).path, [socketPath], options)
      case .peer(let peer, let prepared):
        socketPath = "\(directory)/socket"
        process = try ChildProcess.spawn("sh", ["Benchmarks/Peers/xenstored/run.sh", peer.rawValue, prepared, directory], options)
      }
    } catch {
      throw BenchFailure("cannot start \(name): \(error)")
    }
    let daemon = StoreDaemonUnderLoad(socketPath: socketPath, process: process, directory: directory, stateDirectory: state)
    for _ in 0..<1000 {
      if (try? UnixSocket.connect(to: socketPath, kind: .stream)) != nil { return daemon }
      if process.poll() != nil { break }
      usleep(10_000)
    }
    throw BenchFailure("\(name) does not answer on \(socketPath); oxenstored needs root for a mount of its own")
  }

  private init(socketPath: String, process: ChildProcess, directory: String, stateDirectory: String?) {
    self.socketPath = socketPath
    self.process = process
    self.directory = directory
    self.stateDirectory = stateDirectory
  }

  deinit {
    process.send(signal: SIGKILL)
    process.wait()
    for path in [directory, stateDirectory] {
      if let path { _ = try? OwnedChildProcess.start("/bin/rm", arguments: ["-rf", path]).waitForExit() }
    }
  }

  func measure(_ storeCase: StoreCase, with load: PeerProgram, seconds: Double) throws -> StoreFigures {
    let before = try ProcessorTime.nanoseconds(of: process.processID)
    let output = try BenchProcess.numbers(printedBy: load.path, storeCase.arguments(socket: socketPath, seconds: seconds))
    guard output.count == 5 else { throw BenchFailure("xsload printed \(output.count) numbers") }
    let spent = try ProcessorTime.nanoseconds(of: process.processID) - before
    let operations = output[0] * seconds
    return StoreFigures(
      operationsPerSecond: output[0], medianMicroseconds: output[1], tailMicroseconds: output[2], farTailMicroseconds: output[3],
      retriesPerOperation: output[4] / operations, daemonMicroseconds: Double(spent) / 1000 / operations)
  }
}
