import ArgumentParser

/// `pvio daemon`: broker and store until a signal comes.
struct DaemonCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "daemon", abstract: "Run the broker and the xenstore of a run directory.")

  @OptionGroup var common: CommonOptions

  @Option(name: .long, help: "Keep the store on disk here (not in this release: the store lives in memory).")
  var stateDir: String?

  func run() async throws {
    Process.takeSignals()
    if stateDir != nil { throw CommandFailure.usage("--state-dir: a store on disk is not in this release; leave the option out") }
    let pidfile = try common.holdPIDFile()
    let directory = common.runDirectory
    let services = try await DaemonServices.start(in: directory, logger: common.logger("pvio.daemon"))
    print("pvio daemon ready: store \(directory.storeSocket), broker \(directory.brokerSocket)")
    flushOutput()
    ServiceManager.notifyReady()
    _ = await Process.nextSignal()
    ServiceManager.notifyStopping()
    await services.stop()
    _ = consume pidfile
  }
}
