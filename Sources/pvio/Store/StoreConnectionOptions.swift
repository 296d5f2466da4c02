import ArgumentParser
import XenInterface
import XenStoreClient

/// Where the store is and whom a command acts for: the options that all commands of `pvio store` share.
struct StoreConnectionOptions: ParsableArguments {
  @OptionGroup var common: CommonOptions

  @Option(name: .long, help: "Act for this domain, with its permissions (default: 0, the control domain).")
  var domain: UInt16 = 0

  /// Connects. Throws the line that the user sees.
  func connect(_ configuration: XenStoreClient.Configuration = XenStoreClient.Configuration()) throws -> XenStoreClient {
    try DaemonConnection.store(common.runDirectory, as: DomainID(rawValue: domain), configuration)
  }
}
