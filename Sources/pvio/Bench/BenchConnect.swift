import ArgumentParser
import Glibc
import LinuxSystem
import SystemPackage

/// `pvio bench connect`: how long it takes until a VMM can use devices, alone or against qemu-storage-daemon.
struct BenchConnect: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "connect", abstract: "Time from a VMM's connect to the first answer, and from nothing to 64 devices in use.")

  enum Peer: String, ExpressibleByArgument, CaseIterable { case storageDaemon = "qemu-storage-daemon" }

  @Option(help: ArgumentHelp("Measure a peer in turns with ours.", valueName: "peer")) var peer: Peer?
  @OptionGroup var options: BenchOptions

  private static let deviceCount = 64

  /// What one round gives, in nanoseconds.
  private struct Figures {
    /// From one socket's connect to its device's answer.
    var one: Double
    /// The same for all devices of a process, one after the other.
    var all: Double
    /// From the process's start until all devices have answered.
    var fromNothing: Double
  }

  func run() async throws {
    let machine = try options.prepare()
    let front = try PeerProgram.compile("vublk", package: "linux-libc-dev")
    let figures = try await interleave(
      rounds: options.rounds, ours: { try measure(front, Self.ours) }, peer: peer == nil ? nil : { try measure(front, Self.storageDaemon) })
    let columns: [BenchReport.Column<Figures>] = [
      ("one", "ns", .lower, \.one), ("64-one-after-the-other", "ns", .lower, \.all), ("64-from-nothing", "ns", .lower, \.fromNothing),
    ]
    let rows = BenchReport.rows(
      "", columns, ours: figures.ours, peer: figures.peer.flatMap { figures in peer.map { ($0.rawValue, figures) } })
    try options.present(BenchReport(benchmark: "connect", machine: machine, rows: rows))
  }

  private static func ours(_ sockets: [String]) -> [String] {
    [ChildProcess.ownExecutable, "backend", "block"] + sockets.flatMap { ["--disk", "null=64M,queues=1", "--socket-path", $0] }
  }

  private static func storageDaemon(_ sockets: [String]) -> [String] {
    ["qemu-storage-daemon", "--object", "iothread,id=loop"]
      + sockets.enumerated().flatMap { number, socket in
        [
          "--blockdev", "driver=null-co,node-name=disk\(number),size=67108864,read-zeroes=off", "--export",
          "type=vhost-user-blk,id=export\(number),node-name=disk\(number),addr.type=unix,addr.path=\(socket),writable=on,iothread=loop,num-queues=1",
        ]
      }
  }

  private func measure(_ front: PeerProgram, _ command: ([String]) -> [String]) throws -> Figures {
    let sockets = (0..<Self.deviceCount).map { "/tmp/pvio-bench-\(getpid())-\($0).sock" }
    defer { for socket in sockets { UnixSocket.removeFile(at: socket) } }
    let command = command(sockets)
    let start = MonotonicClock.nowNanoseconds
    let server: ChildProcess
    do throws(Errno) {
      let nowhere = try OwnedDescriptor.open("/dev/null", flags: O_RDWR)
      var streams = ChildProcess.Options()
      streams.standardOutput = nowhere.rawValue
      server = try ChildProcess.spawn(command[0], Array(command.dropFirst()), streams)
    } catch {
      throw BenchFailure("cannot start \(command[0]): \(error)")
    }
    defer {
      server.send(signal: SIGKILL)
      server.wait()
    }
    for _ in 0..<10_000 {
      // SAFETY: the path is a terminated string for the length of the call.
      if unsafe access(sockets[Self.deviceCount - 1], F_OK) == 0 { break }
      if server.poll() != nil { throw BenchFailure("\(command[0]) does not listen") }
      usleep(500)
    }
    let all = try front.measure(["connect", "0"] + sockets)
    let fromNothing = Double(MonotonicClock.nowNanoseconds - start)
    // What the others leave behind has been taken away then.
    usleep(200_000)
    let one = try front.measure(["connect", "0", sockets[0]])
    return Figures(one: one, all: all, fromNothing: fromNothing)
  }
}
