import ArgumentParser
import ConsoleBack
import DriverCommands
import EventLoop
import Glibc
import Logging
import PVDriver
import XenPlatform
import XenInterface
import XenStoreClient
import XenStoreWire
import Xenbus

/// `pvio backend console`: shows a domain's console as a pseudo terminal until it is detached or a signal comes.
struct BackendConsoleCommand: AsyncParsableCommand {
  static let kind = DeviceKind("console")
  static let configuration = CommandConfiguration(commandName: "console", abstract: "Show a domain's console as a pseudo terminal, and log it.")

  @OptionGroup var place: BackendOptions
  @Option(help: ArgumentHelp("A file that all output is appended to.", valueName: "file")) var log: String?
  @Option(help: ArgumentHelp("Further keys: log=FILE, history=SIZE (of output that is kept while nobody takes it: 64K), id=NAME.", valueName: "spec"))
  var spec = ""

  func run() async throws {
    let text = [spec, log.map { "log=\($0)" } ?? ""].filter { !$0.isEmpty }.joined(separator: ",")
    let settings = try DriverSpec(text, kind: Self.kind)
    try settings.expectKeys(["log", "history"])
    let history = try settings["history"].map { try Self.history($0) } ?? ConsoleTerminal.standardHistoryByteCount
    try await place.serve(settings) { address, platform, store, logger in
      let terminal: ConsoleTerminal
      do { terminal = try ConsoleTerminal(logPath: settings["log"], historyByteCount: history) } catch {
        throw CommandFailure("cannot open a pseudo terminal: \(error)")
      }
      return try await ConsoleService(address: address, directory: place.common.runDirectory, terminal: terminal, processor: place.processor, logger: logger).run(platform, store)
    }
  }

  private static func history(_ text: String) throws -> Int {
    guard let size = ByteCount(text), size.value.nonzeroBitCount == 1, (4096...(64 << 20)).contains(size.value) else {
      throw CommandFailure.usage("console history=\(text): expected a power of two from 4K to 64M")
    }
    return Int(size.value)
  }
}

/// One console being served by a process of its own.
struct ConsoleService {
  let address: DeviceAddress
  let directory: RunDirectory
  let terminal: ConsoleTerminal
  let processor: Int?
  let logger: Logger

  func run(_ platform: any XenPlatform, _ store: XenStoreClient) async throws -> BackendSupervisor.Report {
    let thread = try EventLoopThread.started("console", processor: processor)
    defer { thread.stopAndJoin() }
    let notices = XenbusNotices()
    let driver: ByteStreamBackendDriver<ConsoleBackendDevice, ByteStreamPump>
    let (terminal, logger, loop) = (terminal, logger, thread.loop)
    do {
      driver = try await ByteStreamBackendDriver(
        ConsoleBackendDevice(terminalPath: terminal.path, process: getpid()), loop: loop, platform: platform, notices: notices
      ) { _ in
        try terminal.makePump(on: loop) { logger.error("the console's log cannot be written: \($0); what does not fit is lost") }
      }
    } catch {
      throw CommandFailure("the console of \(address.device) cannot be served: \(error)")
    }
    try await publish(store)
    return await DriverService(address: address, directory: directory, logger: logger).run(streams: driver, notices: notices, store: store) {
      $0.notes = ["terminal \(terminal.path)"]
    }
  }

  /// What the toolstack and the back-end say in the front-end's directory: the guest can read it, and cannot write it (XSA-57).
  private func publish(_ store: XenStoreClient) async throws {
    typealias Keys = ConsoleKeys.Frontend
    let keys = [
      Keys.tty.name: terminal.path, Keys.type.name: "xenconsoled", Keys.output.name: "pty", Keys.protocol.name: "vt100",
      Keys.limit.name: "\(Keys.limit.defaultValue ?? 0)",
    ]
    let permissions = [XenStorePermission(.control, .none), XenStorePermission(address.domain, .read)]
    for (name, value) in keys.sorted(by: { $0.key < $1.key }) {
      let path = "\(address.paths.frontend)/\(name)"
      try await store.write(path, value)
      try await store.setPermissions(path, permissions)
    }
  }
}
