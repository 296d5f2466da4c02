import ArgumentParser
import DriverCommands
import Foundation
import XenStoreClient
import XenStoreWire

extension StoreCommand {
  struct Dump: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print a node and everything below it with values and permissions, for 'restore': one JSON object a line.",
      discussion: "What is printed was in the store at one moment.")
    @OptionGroup var connection: StoreConnectionOptions
    @Argument(help: "An absolute path.") var path = "/"

    func run() async throws {
      guard let top = try? XenStorePath(path) else { throw CommandFailure.usage("dump: '\(path)' is no absolute path") }
      let dump = try await withStore(connection) { store in
        let transaction = try await store.beginTransaction()
        let dump = try await StoreDump(of: top, transaction)
        try await transaction.abort()
        return dump
      }
      for line in try dump.lines() { print(line) }
    }
  }

  struct Restore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write what 'dump' printed: values and permissions. Nodes that are not in the dump stay, unless --replace is given.")
    @OptionGroup var connection: StoreConnectionOptions
    @Flag(help: "Remove what is below the dump's path first.") var replace = false
    @Option(help: ArgumentHelp("Write so many nodes in one transaction (default: all, or nothing).", valueName: "nodes"))
    var transactionSize: Int?
    @Argument(help: "The dump; - is standard input.") var file = "-"

    func run() async throws {
      if let transactionSize, transactionSize < 1 { throw CommandFailure.usage("--transaction-size: at least 1") }
      let dump = try StoreDump(text: try text())
      let size = max(transactionSize ?? dump.nodes.count, 1)
      try await withStore(connection) { store in
        var isFirst = true
        for start in stride(from: 0, to: dump.nodes.count, by: size) {
          let part = dump.nodes[start..<min(start + size, dump.nodes.count)]
          let removes = replace && isFirst
          try await store.withTransaction { transaction throws(XenStoreClientError) in
            if removes { try await Self.removeChildren(of: dump.path, transaction) }
            try await Self.write(part, transaction)
          }
          isFirst = false
        }
      }
    }

    private func text() throws -> String {
      let bytes: Data?
      if file == "-" {
        bytes = try FileHandle.standardInput.readToEnd()
      } else {
        bytes = FileManager.default.contents(atPath: file)
        if bytes == nil { throw CommandFailure("restore: \(file) cannot be read") }
      }
      return String(decoding: bytes ?? Data(), as: UTF8.self)
    }

    private static func removeChildren(of path: XenStorePath, _ store: XenStoreTransaction) async throws(XenStoreClientError) {
      guard try await store.exists(path) else { return }
      for name in try await store.directory(path) { try await store.remove(path.isRoot ? "/\(name)" : "\(path)/\(name)") }
    }

    /// Requests that wait for their replies at any time.
    private static let batchNodeCount = 128

    private static func write(_ nodes: ArraySlice<StoreDump.Node>, _ store: XenStoreTransaction) async throws(XenStoreClientError) {
      var rest = nodes
      while !rest.isEmpty {
        var batch = XenStoreBatch()
        for node in rest.prefix(batchNodeCount) {
          batch.write(node.path, bytes: node.value)
          batch.setPermissions(node.path, node.permissions)
        }
        try await store.perform(batch).check()
        rest = rest.dropFirst(batchNodeCount)
      }
    }
  }
}
