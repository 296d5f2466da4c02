import EventLoop
import LinuxSystem
import Logging
import SystemPackage
import VhostUser

/// Disks for VMMs without a daemon: each with a socket of its own, all in this process.
struct StandaloneVhostUserDisks {
  let disks: [(spec: DiskSpec, socket: VMMSocket)]
  let logger: Logger
  var processor: Int?

  /// Serves until a signal comes; disks on connected sockets until their VMM has gone.
  func run() async throws {
    Process.takeSignals()
    let thread: EventLoopThread
    do { thread = try EventLoopThread.start(name: "block", processor: processor) } catch { throw CommandFailure("\(error)") }
    defer { thread.stopAndJoin() }
    var served: [ServedVhostUserDisk] = []
    do {
      for (number, disk) in disks.enumerated() {
        served.append(
          try await ServedVhostUserDisk.open(
            disk.spec, name: disk.spec.id ?? "disk\(number)", at: disk.socket, loop: thread.loop, logger: logger))
      }
    } catch {
      for disk in served { await disk.close() }
      throw error
    }
    print("pvio backend ready: \(disks.map { "\($0.spec.parameters)" }.joined(separator: ", "))")
    flushOutput()
    ServiceManager.notifyReady()
    await waitForEnd(served)
    for disk in served { await disk.close() }
  }

  private func waitForEnd(_ served: [ServedVhostUserDisk]) async {
    let isOver = StopRequest()
    let signals = Task {
      _ = await Process.nextSignal()
      isOver.raise()
    }
    let followers = zip(disks, served).map { disk, served in
      Task {
        for await notice in served.notices {
          // Nobody can come to a socket that was connected from the start.
          if notice != .connected, case .connected(_) = disk.socket { isOver.raise() }
        }
      }
    }
    while !isOver.isRaised { try? await Task.sleep(for: .milliseconds(10)) }
    for task in followers + [signals] { task.cancel() }
  }
}
