import ArgumentParser
import DriverCommands
import XenStoreClient
import XenStoreWire

/// A node and everything below it.
extension StoreCommand {
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ls", abstract: "Print everything below a node.")
    @OptionGroup var connection: StoreConnectionOptions
    @Flag(help: "Print JSON: an object from path to value.") var json = false
    @Argument var path = "/"

    func run() async throws {
      let nodes = try await withStore(connection) { try await StoreWalk.nodes(below: path, $0) }
      if json {
        let values = nodes.compactMap { node in node.value.map { (node.path, StoreText($0).plain) } }
        try printJSON(Dictionary(values, uniquingKeysWith: { first, _ in first }))
      } else {
        for node in nodes { print("\(String(repeating: "  ", count: node.depth))\(node.name) = \(node.text)") }
      }
    }
  }

  struct Tree: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "tree", abstract: "Print everything below a node with full paths, and permissions if asked for.")
    @OptionGroup var connection: StoreConnectionOptions
    @Flag(name: [.short, .long], help: "Show permissions, the owner first.") var permissions = false
    @Flag(help: "Print JSON: a list of nodes with path, value (or base64) and permissions.") var json = false
    @Argument var path = "/"

    func run() async throws {
      let nodes = try await withStore(connection) { try await StoreWalk.nodes(below: path, $0) }
      if json {
        return try printJSON(nodes.map(row))
      }
      for node in nodes {
        let suffix = permissions ? "   (\(node.permissions.map(\.description).joined(separator: ",")))" : ""
        print("\(node.path) = \(node.text)\(suffix)")
      }
    }

    /// One that we may not read has no value.
    private func row(_ node: StoreWalk.Node) -> StoreText.Node {
      var row = StoreText.Node(path: node.path, StoreText(node.value ?? []), permissions: node.permissions.map(\.description))
      if node.value == nil { row.value = nil }
      return row
    }
  }
}
