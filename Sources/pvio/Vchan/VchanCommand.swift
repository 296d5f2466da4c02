import ArgumentParser
import DriverCommands
import EventLoop
import Glibc
import LinuxSystem
import Logging
import SystemPackage
import Vchan
import XenInterface
import XenPlatform
import XenStoreClient

/// `pvio vchan`: a pipe to another domain.
struct VchanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vchan", abstract: "Connect standard input and output to another domain (libxenvchan's format).",
    subcommands: [VchanListenCommand.self, VchanConnectCommand.self])
}

/// What both ends take.
struct VchanOptions: ParsableArguments {
  @Option(help: "The other domain, by number or name.") var domain: String
  @Option(name: .customLong("as"), help: "The domain to act for.") var own = "0"
  @Flag(help: "Stay when standard input has ended, until the other end leaves.") var stay = false
  @Argument(help: "Where in the store: absolute, or below /local/domain/LISTENER/data.") var path: String
}

/// `pvio vchan listen`: offers a pipe under a path of the store, and waits for a client.
struct VchanListenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "listen", abstract: "Offer a pipe to a domain, and pass bytes once it has connected.",
    discussion: "Ends when the other end has left, or when all of a standard input that was not empty has been taken.")

  @OptionGroup var common: CommonOptions
  @OptionGroup var options: VchanOptions
  @Option(help: ArgumentHelp("Size of the ring from the client (to 1M).", valueName: "size")) var left = "64K"
  @Option(help: ArgumentHelp("Size of the ring to the client.", valueName: "size")) var right = "64K"

  func run() async throws {
    guard let leftSize = ByteCount(left), let rightSize = ByteCount(right),
      let orders = VchanOrders(leftByteCount: Int(clamping: leftSize.value), rightByteCount: Int(clamping: rightSize.value))
    else { throw CommandFailure.usage("--left \(left) --right \(right): expected sizes of at most 1M") }
    let session = try await VchanSession(common, options)
    let path = session.path(server: session.own)
    try await session.run("listening on \(path)") { platform, store, loop, streams in
      try await Vchan.listen(path, client: session.other, orders: orders, platform: platform, store: store, loop: loop, streams: streams)
    }
  }
}

/// `pvio vchan connect`: uses the pipe that another domain offers.
struct VchanConnectCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "connect", abstract: "Connect to the pipe that a domain offers, waiting for it.",
    discussion: "Ends when the other end has left, or when all of a standard input that was not empty has been taken.")

  @OptionGroup var common: CommonOptions
  @OptionGroup var options: VchanOptions

  func run() async throws {
    let session = try await VchanSession(common, options)
    let path = session.path(server: session.other)
    try await session.run("connecting to \(path)") { platform, store, loop, streams in
      try await Vchan.connect(path, server: session.other, platform: platform, store: store, loop: loop, streams: streams)
    }
  }
}

/// One end of a pipe as a command.
struct VchanSession {
  let own: DomainID
  let other: DomainID
  private let common: CommonOptions
  private let options: VchanOptions

  init(_ common: CommonOptions, _ options: VchanOptions) async throws {
    self.common = common
    self.options = options
    let host = try Host.connect(common)
    defer { host.close() }
    own = try await host.domain(named: options.own)
    other = try await host.domain(named: options.domain)
    // On a Xen host a domain can grant to itself.
    guard own != other || common.platform == .xen else {
      throw CommandFailure.usage("--as \(options.own) --domain \(options.domain): a pipe is between two domains")
    }
  }

  func path(server: DomainID) -> String { options.path.hasPrefix("/") ? options.path : "/local/domain/\(server)/data/\(options.path)" }

  func run(
    _ what: String, _ open: @escaping @Sendable (any XenPlatform, XenStoreClient, EventLoop, VchanStreams) async throws -> Vchan
  ) async throws {
    Process.takeSignals()
    let logger = common.logger("pvio.vchan")
    let host = try Host.connect(common, as: own)
    let (platform, store) = (host.platform, host.store)
    defer { store.close() }
    let thread = try EventLoopThread.started("vchan")
    defer { thread.stopAndJoin() }
    let streams: VchanStreams
    do throws(Errno) {
      streams = VchanStreams(input: try .reopened(0, forWriting: false), output: try .reopened(1, forWriting: true), staysOpen: options.stay)
    } catch {
      throw CommandFailure("standard input and output cannot be used: \(error)")
    }
    logger.info("\(what)")
    let loop = thread.loop
    let opening = Task { try await open(platform, store, loop, streams) }
    let stop = StopRequest()
    let signals = Task {
      _ = await Process.nextSignal()
      stop.raise()
      opening.cancel()
    }
    defer { signals.cancel() }
    let pipe: Vchan
    do { pipe = try await opening.value } catch {
      if stop.isRaised { return }
      throw CommandFailure("\(error)")
    }
    let ending = await stop.unlessRaised { await pipe.ending() }
    await pipe.leave()
    logger.info("\(ending.map { "\($0)" } ?? "stopped")")
    switch ending {
    case .broken(let fault)?: throw CommandFailure("domain \(other) broke the ring: \(fault)")
    case .outputEnded(let errno)? where errno != .brokenPipe: throw CommandFailure("standard output: \(errno)")
    default: break
    }
  }
}
