import DriverCommands
import Foundation
import XenStoreClient
import XenStoreWire

/// The text form of a part of the store: one JSON object a line.
///
/// The first line is the header, `{"dump":"pvio-store","nodes":N,"path":"/...","version":1}`. N lines follow, one a node, parents before
/// children, the node at `path` first: `path` (absolute), `permissions` (a list, the owner first, such as `["n0","r7"]`), and the value
/// either as `value` or, when it is not UTF-8, as `base64`.
struct StoreDump {
  struct Header: Codable {
    var dump = Self.name
    var version = 1
    var path: String
    var nodes: Int

    static let name = "pvio-store"
  }

  struct Node: Hashable {
    var path: XenStorePath
    var value: [UInt8]
    var permissions: [XenStorePermission]
  }

  var path: XenStorePath
  var nodes: [Node]

  // MARK: Writing

  /// The dump's lines.
  func lines() throws -> [String] {
    try [jsonLine(Header(path: path.text, nodes: nodes.count))]
      + nodes.map { node in
        try jsonLine(StoreText.Node(path: node.path.text, StoreText(node.value), permissions: node.permissions.map(\.description)))
      }
  }

  // MARK: Reading

  /// Reads a whole dump and checks all of it. Throws the line that is wrong.
  init(text: String) throws {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: true).makeIterator()
    let decoder = JSONDecoder()
    guard let first = lines.next(), let header = try? decoder.decode(Header.self, from: Data(first.utf8)), header.dump == Header.name else {
      throw CommandFailure("restore: line 1 is not the header of a store's dump")
    }
    guard header.version == 1 else { throw CommandFailure("restore: version \(header.version) of the dump is not known; expected 1") }
    guard let top = try? XenStorePath(header.path) else { throw CommandFailure("restore: line 1: '\(header.path)' is no absolute path") }
    path = top
    nodes = []
    while let line = lines.next() {
      let place = "restore: line \(nodes.count + 2)"
      guard let node = try? decoder.decode(StoreText.Node.self, from: Data(line.utf8)) else { throw CommandFailure("\(place) is no node") }
      guard let path = try? XenStorePath(node.path), top.contains(path) else {
        throw CommandFailure("\(place): '\(node.path)' is no path at or below \(top)")
      }
      guard let value = node.bytes else { throw CommandFailure("\(place): expected either value or base64") }
      let permissions = (node.permissions ?? []).compactMap { XenStorePermission(text: $0.utf8) }
      guard permissions.count == node.permissions?.count, !permissions.isEmpty else {
        throw CommandFailure("\(place): expected permissions such as [\"n0\", \"r7\"]")
      }
      nodes.append(Node(path: path, value: value, permissions: permissions))
    }
    guard nodes.count == header.nodes else {
      throw CommandFailure("restore: the dump has \(nodes.count) nodes of \(header.nodes): it was cut off")
    }
  }

  /// Reads the part of the store at `path`.
  init(of path: XenStorePath, _ store: some XenStoreAccess) async throws {
    self.path = path
    let all = try await [StoreWalk.node(path.text, store)] + StoreWalk.nodes(below: path.text, store)
    nodes = try all.map { node in
      // A part of the truth must not pass for the whole.
      guard let value = node.value, !node.permissions.isEmpty else { throw CommandFailure("dump: \(node.path) may not be read") }
      return Node(path: try XenStorePath(node.path), value: value, permissions: node.permissions)
    }
  }
}

private func jsonLine(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// Prints a value as JSON on one line.
func printJSONLine(_ value: some Encodable) throws { print(try jsonLine(value)) }
