public import XenInterface

/// What the life cycle asks of a store: transactions, and watches that only say "look again".
public protocol XenbusStore: Sendable {
  /// Runs `body` on a snapshot and commits what it wrote; runs it again when somebody else changed what it read.
  func transaction<Result: Sendable>(
    _ body: @Sendable (any XenbusTransaction) async throws -> Result
  ) async throws -> Result

  /// The value of one node, outside of any transaction: what a peer writes in a loop cannot make it fail.
  /// Nil when the node is missing or unreadable for us.
  func read(_ path: String) async throws -> String?

  /// Fires once at the start and then after each change of `path` or of anything below it. At most one firing is kept
  /// while nobody looks (a peer that writes a million times costs one element). Ends when the store is lost.
  func watch(_ path: String) async throws -> AsyncStream<Void>

  /// Whether the domain is still there; asked after `@releaseDomain` fired. True when it cannot be told.
  func domainExists(_ domain: DomainID) async -> Bool
}

/// The nodes as one transaction sees them.
public protocol XenbusTransaction: Sendable {
  /// The value; nil when the node is missing or unreadable for us.
  func read(_ path: String) async throws -> String?
  /// Names of the children; nil when the node is missing or unreadable for us.
  func children(_ path: String) async throws -> [String]?
  /// Writes a node, and its missing parents.
  func write(_ path: String, _ value: String) async throws
  /// Removes a node and everything below it; nothing happens when it is missing.
  func remove(_ path: String) async throws
  /// Sets the permissions in the store's own notation, owner first: `["n7", "r0"]`.
  func setPermissions(_ path: String, _ permissions: [String]) async throws
}

extension XenbusTransaction {
  /// Reads a whole device directory. Nodes below the third level do not belong to any protocol and are left out.
  /// - Throws: `XenbusError.directoryTooLarge` when there are more than `limit` nodes: the peer chooses their number.
  public func directory(
    side: XenbusSide, path directory: String, domain: DomainID, limit: Int = XenbusDirectory.nodeLimit
  ) async throws -> XenbusDirectory {
    var values: [String: String] = [:]
    var visited = 0
    var pending: [(key: String, depth: Int)] = [("", 0)]
    while let (key, depth) = pending.popLast() {
      guard let names = try await children(key.isEmpty ? directory : directory + "/" + key) else { continue }
      for name in names {
        visited += 1
        guard visited <= limit else { throw XenbusError.directoryTooLarge(side: side, directory: directory, limit: limit) }
        let path = key.isEmpty ? name : key + "/" + name
        if let value = try await read(directory + "/" + path) { values[path] = value }
        // Only directories of queues and the like nest: plain keys have no children, which one request tells.
        if depth < 2 && XenbusDirectory.mayNest(name) { pending.append((path, depth + 1)) }
      }
    }
    return XenbusDirectory(side: side, path: directory, domain: domain, values: values)
  }
}

extension XenbusDirectory {
  /// Nodes in a device directory: 128 queues with a 16-page ring each fit.
  public static let nodeLimit = 4096

  /// Whether a node can have children by any protocol: `queue-0`, or a plain number (displays, streams, ports).
  static func mayNest(_ name: String) -> Bool {
    name.hasPrefix("queue-") || name.utf8.allSatisfy { (0x30...0x39).contains($0) }
  }
}
