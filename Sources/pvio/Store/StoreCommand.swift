import ArgumentParser
import XenStoreClient
import XenStoreWire

/// `pvio store`: the store by hand.
struct StoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "store", abstract: "Read and write the xenstore.",
    subcommands: [Read.self, Write.self, Remove.self, List.self, Exists.self, Watch.self, ChangeMode.self, LiveUpdate.self])

  struct Read: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the value of a node.")
    @OptionGroup var common: CommonOptions
    @Argument var path: String

    func run() async throws { print(try await withStore(common) { try await $0.read(path) }) }
  }

  struct Write: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Set the value of a node, which is created when it is not there.")
    @OptionGroup var common: CommonOptions
    @Argument var path: String
    @Argument var value: String

    func run() async throws { try await withStore(common) { try await $0.write(path, value) } }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove a node and everything below it.")
    @OptionGroup var common: CommonOptions
    @Argument var path: String

    func run() async throws { try await withStore(common) { try await $0.remove(path) } }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ls", abstract: "Print a node and everything below it.")
    @OptionGroup var common: CommonOptions
    @Flag(help: "Print JSON: an object from path to value.") var json = false
    @Argument var path = "/"

    func run() async throws {
      let nodes = try await withStore(common) { try await StoreWalk.nodes(below: path, $0) }
      if json {
        try printJSON(Dictionary(nodes.map { ($0.path, $0.value) }, uniquingKeysWith: { first, _ in first }))
      } else {
        for node in nodes { print("\(String(repeating: "  ", count: node.depth))\(node.name) = \"\(node.value)\"") }
      }
    }
  }

  struct Exists: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Exit with 0 when the node is there, else with 1.")
    @OptionGroup var common: CommonOptions
    @Argument var path: String

    func run() async throws {
      if try await !withStore(common, { try await $0.exists(path) }) { throw ExitCode(1) }
    }
  }

  struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the path of every change at or below a node.")
    @OptionGroup var common: CommonOptions
    @Option(name: [.short, .long], help: "End after so many events.") var count: Int?
    @Argument var path: String

    func run() async throws {
      try await withStore(common) { store in
        var seen = 0
        for await event in try await store.watch(path) {
          print(event.path)
          flushOutput()
          seen += 1
          if seen == count { return }
        }
      }
    }
  }

  struct ChangeMode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "chmod", abstract: "Set the permissions of a node: the owner first (n0), then others (r7, w7, b7, n7).")
    @OptionGroup var common: CommonOptions
    @Argument var path: String
    @Argument var permissions: [String]

    func run() async throws {
      let parsed = try permissions.map { text in
        guard let permission = XenStorePermission(text: text.utf8) else {
          throw CommandFailure.usage("chmod: '\(text)' is no permission; expected n, r, w or b and a domain's number, such as r7")
        }
        return permission
      }
      try await withStore(common) { try await $0.setPermissions(path, parsed) }
    }
  }
}

/// Connects to the store of the run directory, runs `body`, and turns what goes wrong into the line that the user sees.
func withStore<Result>(_ common: CommonOptions, _ body: (XenStoreClient) async throws -> Result) async throws -> Result {
  let store = try DaemonConnection.store(common.runDirectory)
  defer { store.close() }
  do {
    return try await body(store)
  } catch let error as XenStoreClientError {
    throw CommandFailure("\(error)")
  }
}
