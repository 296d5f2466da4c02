import ArgumentParser
import DriverCommands
import Foundation
import XenStoreClient

extension StoreCommand {
  /// `pvio store live-update`: the running daemon goes on as another binary, and its clients notice nothing.
  struct LiveUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "live-update", abstract: "Replace the running daemon by a new binary without closing a connection.")
    @OptionGroup var common: CommonOptions

    @Option(name: .long, help: "The new binary (default: the file that the daemon was started from, as it is now).")
    var binary: String?

    @Option(name: .long, help: "Seconds that the new binary may take to read the daemon's state.")
    var timeLimit = 60

    func run() async throws {
      guard (1...3600).contains(timeLimit) else { throw CommandFailure.usage("--time-limit: 1 to 3600 seconds") }
      let store = try DaemonConnection.store(common.runDirectory)
      defer { store.close() }
      if let binary { try await ask(store, ["-f", absolute(binary)]) }
      try await ask(store, ["-s", "-t", "\(timeLimit)"])
      print("the daemon of \(common.runDirectory.path) goes on as \(binary ?? "its own binary")")
    }

    private func ask(_ store: XenStoreClient, _ arguments: [String]) async throws {
      let reply: String
      do {
        reply = try await store.control(["live-update"] + arguments)
      } catch {
        throw CommandFailure("live update: \(error)")
      }
      guard reply == "OK" else { throw CommandFailure(reply) }
    }

    /// The daemon has a working directory of its own.
    private func absolute(_ path: String) -> String {
      path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
  }
}
