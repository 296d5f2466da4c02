import ArgumentParser

/// `pvio daemon`: broker and store until a signal comes.
struct DaemonCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "daemon", abstract: "Run the broker and the xenstore of a run directory.")

  @OptionGroup var common: CommonOptions

  @Option(name: .long, help: "Keep the store on disk here: every change before it is acknowledged (default: in memory only).")
  var stateDir: String?

  @Option(name: .long, help: "With --state-dir: replace the log by a snapshot when it has this many bytes (default: 8388608).")
  var stateLogBytes: Int?

  @Flag(name: .long, help: "With --state-dir: go on with what is before damage in the store's log; the damaged file is kept beside it.")
  var acceptLoss = false

  func run() async throws {
    Process.takeSignals()
    if let stateLogBytes, stateLogBytes < 4096 || stateDir == nil {
      throw CommandFailure.usage("--state-log-bytes: at least 4096, and only with --state-dir")
    }
    if acceptLoss, stateDir == nil { throw CommandFailure.usage("--accept-loss: there is nothing to lose without --state-dir") }
    let pidfile = try common.holdPIDFile()
    let directory = common.runDirectory
    let services = try await DaemonServices.start(
      in: directory, logger: common.logger("pvio.daemon"), state: stateDir.map { StoreState(path: $0, acceptsLoss: acceptLoss, logByteCount: stateLogBytes) })
    print("pvio daemon ready: store \(directory.storeSocket), broker \(directory.brokerSocket)")
    flushOutput()
    ServiceManager.notifyReady()
    let failure = await services.failure(orUntil: Process.nextSignal)
    ServiceManager.notifyStopping()
    await services.stop()
    _ = consume pidfile
    if let failure { throw failure }
  }
}
