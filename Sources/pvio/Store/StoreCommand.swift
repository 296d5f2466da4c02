import ArgumentParser
import XenInterface
import XenStoreClient
import XenStoreWire

/// `pvio store`: the store by hand.
struct StoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "store", abstract: "Read and write the xenstore.",
    subcommands: [
      Read.self, Write.self, Remove.self, Names.self, List.self, Tree.self, Exists.self, ChangeMode.self, Watch.self, Dump.self,
      Restore.self, Quotas.self, Audit.self, Control.self, LiveUpdate.self,
    ])
}

/// What the commands take that act on nodes.
struct StoreOptions: ParsableArguments {
  @OptionGroup var common: CommonOptions

  @Option(help: ArgumentHelp("Act as this domain, with its rights; paths without a leading / are below its home.", valueName: "domid"))
  var domain: UInt16 = DomainID.control.rawValue

  var identity: DomainID { DomainID(rawValue: domain) }
}

/// Connects to the store of the run directory, runs `body`, and turns what goes wrong into the line that the user sees.
func withStore<Result>(_ common: CommonOptions, _ body: (XenStoreClient) async throws -> Result) async throws -> Result {
  try await withStore(try DaemonConnection.store(common.runDirectory), body)
}

/// The same, as the domain that the options name.
func withStore<Result>(_ options: StoreOptions, _ body: (XenStoreClient) async throws -> Result) async throws -> Result {
  try await withStore(try DaemonConnection.store(options.common.runDirectory, as: options.identity), body)
}

func withStore<Result>(_ store: XenStoreClient, _ body: (XenStoreClient) async throws -> Result) async throws -> Result {
  defer { store.close() }
  do {
    return try await body(store)
  } catch let error as XenStoreClientError {
    throw CommandFailure("\(error)")
  }
}
