import ArgumentParser
import DriverCommands
import XenStoreClient
import XenStoreWire

/// One node at a time.
extension StoreCommand {
  struct Read: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the value of a node.")
    @OptionGroup var connection: StoreConnectionOptions
    @Flag(help: "Print JSON: path and value (base64 when it is no text).") var json = false
    @Argument var path: String

    func run() async throws {
      let value = StoreText(try await withStore(connection) { try await $0.readBytes(path) })
      if json { try printJSON(StoreText.Node(path: path, value)) } else { print(value.plain) }
    }
  }

  struct Write: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Set the value of a node, which is created when it is not there.")
    @OptionGroup var connection: StoreConnectionOptions
    @Argument var path: String
    @Argument var value: String

    func run() async throws { try await withStore(connection) { try await $0.write(path, value) } }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove a node and everything below it.")
    @OptionGroup var connection: StoreConnectionOptions
    @Argument var path: String

    func run() async throws { try await withStore(connection) { try await $0.remove(path) } }
  }

  struct Names: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Print the names of a node's children.")
    @OptionGroup var connection: StoreConnectionOptions
    @Flag(help: "Print JSON: a list of names.") var json = false
    @Argument var path = "/"

    func run() async throws {
      let names = try await withStore(connection) { try await $0.directory(path) }
      if json { try printJSON(names) } else { for name in names { print(name) } }
    }
  }

  struct Exists: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Exit with 0 when the node is there, else with 1.")
    @OptionGroup var connection: StoreConnectionOptions
    @Argument var path: String

    func run() async throws {
      if try await !withStore(connection, { try await $0.exists(path) }) { throw ExitCode(1) }
    }
  }

  struct ChangeMode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "chmod", abstract: "Set the permissions of a node: the owner first (n0), then others (r7, w7, b7, n7).")
    @OptionGroup var connection: StoreConnectionOptions
    @Argument var path: String
    @Argument var permissions: [String]

    func run() async throws {
      let parsed = try permissions.map { text in
        guard let permission = XenStorePermission(text: text.utf8) else {
          throw CommandFailure.usage("chmod: '\(text)' is no permission; expected n, r, w or b and a domain's number, such as r7")
        }
        return permission
      }
      try await withStore(connection) { try await $0.setPermissions(path, parsed) }
    }
  }

  struct Control: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send a control command to the daemon and print its reply ('help' lists them).")
    @OptionGroup var common: CommonOptions
    @Argument(help: "The command; put -- before one with options of its own.") var command: [String]

    func run() async throws {
      guard !command.isEmpty else { throw CommandFailure.usage("control: which command? 'pvio store control help' lists them") }
      let reply = try await withStore(common) { try await $0.control(command) }
      if !reply.isEmpty { print(reply, terminator: reply.hasSuffix("\n") ? "" : "\n") }
    }
  }
}
