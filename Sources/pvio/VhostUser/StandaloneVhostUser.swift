import DriverCommands
import EventLoop
import LinuxSystem
import Logging
import PVDriver
import SystemPackage
import VhostUser

/// Devices for VMMs without a daemon: each with a socket of its own, all in this process.
struct StandaloneVhostUser {
  let devices: [(spec: DeviceSpec, socket: VMMSocket)]
  let logger: Logger
  var processor: Int?

  /// A device of either kind while it is served.
  private struct Served {
    var notices: AsyncStream<VhostUserServer.Notice>
    var close: () async -> Void
  }

  /// Serves until a signal comes; devices on connected sockets until their VMM has gone.
  func run() async throws {
    Process.takeSignals()
    let thread = try EventLoopThread.started("vhost-user", processor: processor)
    defer { thread.stopAndJoin() }
    var served: [Served] = []
    do {
      for (number, device) in devices.enumerated() { served.append(try await open(device.spec, device.socket, number, on: thread.loop)) }
    } catch {
      for device in served { await device.close() }
      throw error
    }
    ServiceManager.sayReady("pvio backend ready: \(devices.map { $0.spec.source }.joined(separator: ", "))")
    await waitForEnd(served)
    for device in served { await device.close() }
  }

  private func open(_ spec: DeviceSpec, _ socket: VMMSocket, _ number: Int, on loop: EventLoop) async throws -> Served {
    switch spec {
    case .disk(let spec):
      let disk = try await ServedVhostUserDisk.open(spec, name: spec.id ?? "disk\(number)", at: socket, loop: loop, logger: logger)
      return Served(notices: disk.notices) { await disk.close() }
    case .net(let spec):
      let interface = try await ServedVhostUserInterface.open(
        at: socket, settings: spec.virtioSettings, loop: loop, logger: logger) { loop in try spec.makePort(on: loop) }
      return Served(notices: interface.notices) { await interface.close() }
    case .driver(let spec): throw CommandFailure.usage("\(spec.kind.name) is not served to a VMM")
    }
  }

  private func waitForEnd(_ served: [Served]) async {
    let isOver = StopRequest.bySignal()
    let followers = zip(devices, served).map { device, served in
      Task { [socket = device.socket, notices = served.notices] in
        for await notice in notices {
          // Nobody can come to a socket that was connected from the start.
          if notice != .connected, case .connected(_) = socket { isOver.raise() }
        }
      }
    }
    await isOver.wait()
    for task in followers { task.cancel() }
  }
}
