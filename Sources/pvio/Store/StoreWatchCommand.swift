import ArgumentParser
import DriverCommands
import Synchronization
import XenInterface
import XenStoreClient

extension StoreCommand {
  struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the path of every change at or below a node, beginning with the node itself.",
      discussion: "Goes on with a daemon that was restarted; the node itself is then printed once more: look again.")
    @OptionGroup var connection: StoreConnectionOptions
    @Option(name: [.customShort("n"), .long], help: "End after so many events.") var count: Int?
    @Flag(inversion: .prefixedNo, help: "Wait for a daemon that went away.") var reconnect = true
    @Flag(help: "Print a JSON object a line, with path and token.") var json = false
    @Argument var path: String

    private struct Event: Encodable {
      var path: String
      var token: String
    }

    func run() async throws {
      if let count, count < 1 { throw CommandFailure.usage("--count: at least 1") }
      let client = try connection.connect(XenStoreClient.Configuration(reconnect: reconnect ? .backOff(limit: nil) : .never))
      try await withStore(client) { store in
        let loss = LossNotice()
        let news = Task { for await state in store.connectionStates where state == .reconnecting { loss.tell() } }
        defer { news.cancel() }
        var seen = 0
        for await event in try await store.watch(path) {
          loss.clear()
          if json { try printJSONLine(Event(path: event.path, token: event.token)) } else { print(event.path) }
          flushOutput()
          seen += 1
          if seen == count { return }
        }
        throw CommandFailure("store: the watch on \(path) has ended")
      }
    }

    /// Tells of a loss once: a daemon that dies may accept another connection and end that too.
    private final class LossNotice: Sendable {
      private let isTold = Mutex(false)

      func tell() {
        let isNew = isTold.withLock { isTold in
          defer { isTold = true }
          return !isTold
        }
        if isNew { Process.writeError("pvio: the daemon went away; waiting for the next one\n") }
      }

      /// The store was heard again.
      func clear() { isTold.withLock { $0 = false } }
    }
  }
}
