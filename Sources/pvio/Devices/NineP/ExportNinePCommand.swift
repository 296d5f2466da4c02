import ArgumentParser
import DriverCommands
import EventLoop
import Glibc
import LinuxSystem
import NinePFront
import PVDriver
import SharedRing
import SystemPackage
import Xenbus

/// `pvio export 9pfs`: the guest's end of a shared directory, for any 9P client on a Unix socket.
struct ExportNinePCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "9pfs", abstract: "Use a shared directory as its domain, and pass it on to a 9P client on a Unix socket.",
    discussion: "One client at a time; each has rings and a session of its own.")

  @OptionGroup var place: ExportOptions
  @Option(help: ArgumentHelp("The socket (default: 9p.sock in the device's directory).", valueName: "path")) var socketPath: String?

  func run() async throws {
    try await place.use(BackendNinePCommand.kind) { try await export($0) }
  }

  private func export(_ address: DeviceAddress) async throws {
    let path = socketPath ?? place.common.runDirectory.device(address.id).ninePSocket
    let listener: SharedDescriptor
    do { listener = SharedDescriptor(try ListenAddress.unix(path: path).listen()) } catch { throw CommandFailure("cannot listen on \(path): \(error)") }
    defer { UnixSocket.removeFile(at: path) }
    let thread = try EventLoopThread.started("9pfs")
    defer { thread.stopAndJoin() }
    let stop = StopRequest.bySignal()
    ServiceManager.sayReady("pvio export ready: \(path)")
    let clients = await SocketClients(listener, thread.loop)
    while let client = await clients.next(unless: stop) {
      try await serve(client, place.life(of: address, until: stop), thread.loop)
      if stop.isRaised { break }
    }
    await clients.close()
  }

  private func serve(_ client: SharedDescriptor, _ life: ExportLife, _ loop: EventLoop) async throws {
    let notices = life.notices
    try await life.run(NinePFrontendDevice(), on: loop, readyText: nil) {
      [try ByteStreamPump(loop: loop, input: client, output: client, polling: .standard) { _ in notices.stop() }]
    }
  }
}
