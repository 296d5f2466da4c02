import ArgumentParser
import DriverCommands
import XenInterface
import XenStoreClient

/// Where the store is and whom a command acts for: the options that all commands of `pvio store` share.
struct StoreConnectionOptions: ParsableArguments {
  @OptionGroup var common: CommonOptions

  @Option(name: .long, help: "Act for this domain, with its permissions (default: 0, the control domain).")
  var domain: UInt16 = 0

  @Option(
    name: .long,
    help: "socket: the domain's store socket. ring: a page of memory that the store maps; no socket but the domain's broker is used.")
  var transport: Transport = .socket

  enum Transport: String, ExpressibleByArgument, CaseIterable { case socket, ring }

  /// Connects. Throws the line that the user sees. A page ends with the daemon: over one, nothing connects again.
  func connect(_ configuration: XenStoreClient.Configuration = XenStoreClient.Configuration()) throws -> XenStoreClient {
    if common.platform == .xen { return try Host.store(common) }
    let domain = DomainID(rawValue: domain)
    switch transport {
    case .socket: return try DaemonConnection.store(common.runDirectory, as: domain, configuration)
    case .ring: return try DaemonConnection.storeRing(common.runDirectory, as: domain, requestTimeLimit: configuration.requestTimeLimit)
    }
  }
}
