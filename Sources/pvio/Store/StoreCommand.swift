import ArgumentParser
import DriverCommands
import XenStoreClient

/// `pvio store`: the store by hand.
struct StoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "store", abstract: "Read and write the xenstore.",
    subcommands: [
      Read.self, Write.self, Remove.self, Names.self, List.self, Tree.self, Exists.self, ChangeMode.self, Watch.self, Dump.self,
      Restore.self, Quotas.self, Audit.self, Control.self, LiveUpdate.self,
    ])
}

/// Connects to the store of the run directory, runs `body`, and turns what goes wrong into the line that the user sees.
func withStore<Result>(_ common: CommonOptions, _ body: (XenStoreClient) async throws -> Result) async throws -> Result {
  try await withStore(try Host.store(common), body)
}

/// The same for a command that says whom it acts for and how it connects.
func withStore<Result>(_ connection: StoreConnectionOptions, _ body: (XenStoreClient) async throws -> Result) async throws -> Result {
  try await withStore(try connection.connect(), body)
}

func withStore<Result>(_ store: XenStoreClient, _ body: (XenStoreClient) async throws -> Result) async throws -> Result {
  defer { store.close() }
  do {
    return try await body(store)
  } catch let error as XenStoreClientError {
    throw CommandFailure("\(error)")
  }
}
