import ArgumentParser
import DriverCommands
import LinuxSystem
import SystemPackage

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

  /// Names the descriptor that a live update hands the daemon's state over by; see ``LiveUpdate``.
  static let streamOption = ProgramReplacement.argument

  @Option(name: .customLong("live-update-stream"), help: .hidden)
  var liveUpdateStream: Int32?

  @Option(name: .customLong("live-update-check"), help: .hidden)
  var liveUpdateCheck: Int32?

  func run() async throws {
    if let liveUpdateCheck { return try checkLiveUpdate(liveUpdateCheck) }
    Process.takeSignals()
    if let stateLogBytes, stateLogBytes < 4096 || stateDir == nil {
      throw CommandFailure.usage("--state-log-bytes: at least 4096, and only with --state-dir")
    }
    if acceptLoss, stateDir == nil { throw CommandFailure.usage("--accept-loss: there is nothing to lose without --state-dir") }
    let directory = common.runDirectory
    let logger = common.logger("pvio.daemon")
    let state = stateDir.map { StoreState(path: $0, acceptsLoss: acceptLoss, logByteCount: stateLogBytes) }
    let services: DaemonServices
    if let liveUpdateStream {
      services = try await DaemonServices.resume(try handedOver(liveUpdateStream), in: directory, logger: logger, state: state)
    } else {
      services = try await DaemonServices.start(in: directory, logger: logger, state: state, pidfile: try common.holdPIDFile())
      print("pvio daemon ready: store \(directory.storeSocket), broker \(directory.brokerSocket)")
      flushOutput()
    }
    await services.allowLiveUpdate(logger)
    ServiceManager.notifyReady()
    let failure = await services.failure(orUntil: Process.nextSignal)
    ServiceManager.notifyStopping()
    await services.stop()
    if let failure { throw failure }
  }

  /// What an earlier daemon in this process, or the one that asks for a check, has written.
  private func handedOver(_ descriptor: Int32) throws -> HandedOver {
    let bytes: [UInt8]
    do {
      let file = try OwnedDescriptor(inherited: descriptor)
      bytes = try MemoryFile.contents(of: file, limit: HandedOver.byteLimit)
    } catch {
      throw CommandFailure("cannot read the daemon's state from descriptor \(descriptor): \(error)")
    }
    let handedOver: HandedOver
    do { handedOver = try HandedOver(bytes) } catch { throw CommandFailure("\(error)") }
    try handedOver.check(runDirectory: common.runDirectory.path, pidfile: common.pidfile, stateDirectory: stateDir)
    return handedOver
  }

  /// Says whether this binary could go on with a stream, and touches nothing.
  private func checkLiveUpdate(_ descriptor: Int32) throws {
    do {
      _ = try handedOver(descriptor)
    } catch {
      print("\(LiveUpdateCheck.refusal)\(error)")
      flushOutput()
      throw ExitCode(1)
    }
    print(LiveUpdateCheck.acceptance)
    flushOutput()
  }
}
