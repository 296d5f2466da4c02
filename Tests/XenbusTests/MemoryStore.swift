import Synchronization
import XenInterface
import Xenbus

/// A store in memory: one transaction at a time, watches that keep at most one firing.
final class MemoryStore: XenbusStore {
  struct Contents {
    var nodes: [String: String] = [:]
    var permissions: [String: [String]] = [:]
    var watches: [Int: (path: String, continuation: AsyncStream<Void>.Continuation)] = [:]
    var nextWatch = 0
    var releasedDomains: Set<DomainID> = []
    /// Writes of `state` keys, in order: what an observer of all watches could have seen.
    var history: [String] = []
  }

  let contents = Mutex(Contents())

  subscript(_ path: String) -> String? { contents.withLock { $0.nodes[path] } }
  var history: [String] { contents.withLock { $0.history } }

  func read(_ path: String) async throws -> String? { self[path] }

  func transaction<Result: Sendable>(
    _ body: @Sendable (any XenbusTransaction) async throws -> Result
  ) async throws -> Result {
    while true {
      let transaction = MemoryTransaction(contents.withLock { $0.nodes })
      let result = try await body(transaction)
      if commit(transaction) { return result }
      await Task.yield()
    }
  }

  private func commit(_ transaction: MemoryTransaction) -> Bool {
    let changes = transaction.changes.withLock { $0 }
    let committed = contents.withLock { contents -> [AsyncStream<Void>.Continuation]? in
      for path in changes.seen where contents.nodes[path] != transaction.snapshot[path] { return nil }
      for (path, value) in changes.written {
        contents.nodes[path] = value
        if path.hasSuffix("/state"), let value { contents.history.append("\(path)=\(value)") }
      }
      contents.permissions.merge(changes.permissions) { _, new in new }
      return contents.watches.values.filter { watch in
        changes.written.contains { path, _ in path == watch.path || path.hasPrefix(watch.path + "/") || watch.path.hasPrefix(path + "/") }
      }.map(\.continuation)
    }
    for continuation in committed ?? [] { continuation.yield() }
    return committed != nil
  }

  func watch(_ path: String) async throws -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let number = contents.withLock { contents in
      contents.nextWatch += 1
      contents.watches[contents.nextWatch] = (path, continuation)
      return contents.nextWatch
    }
    continuation.onTermination = { [weak self] _ in
      _ = self?.contents.withLock { $0.watches.removeValue(forKey: number) }
    }
    continuation.yield()
    return stream
  }

  func domainExists(_ domain: DomainID) async -> Bool { contents.withLock { !$0.releasedDomains.contains(domain) } }

  func release(_ domain: DomainID) {
    let watchers = contents.withLock { contents in
      contents.releasedDomains.insert(domain)
      return contents.watches.values.filter { $0.path == "@releaseDomain" }.map(\.continuation)
    }
    for watcher in watchers { watcher.yield() }
  }

  func write(_ path: String, _ value: String) async throws { try await transaction { try await $0.write(path, value) } }

  /// Returns when the node has the value; a test that waits for what never comes runs into its time limit.
  func wait(for path: String, _ value: String?) async throws {
    for await _ in try await watch(path) where self[path] == value { return }
  }
}

final class MemoryTransaction: XenbusTransaction {
  struct Changes {
    var seen: Set<String> = []
    var written: [String: String?] = [:]
    var permissions: [String: [String]] = [:]
  }

  let snapshot: [String: String]
  let changes = Mutex(Changes())

  init(_ snapshot: [String: String]) { self.snapshot = snapshot }

  func read(_ path: String) async throws -> String? {
    changes.withLock { changes in
      changes.seen.insert(path)
      return changes.written[path] ?? snapshot[path]
    }
  }

  func children(_ path: String) async throws -> [String]? {
    let nodes = changes.withLock { snapshot.merging($0.written.compactMapValues { $0 }) { _, new in new } }
    let names = nodes.keys.filter { $0.hasPrefix(path + "/") }.compactMap { $0.dropFirst(path.count + 1).split(separator: "/").first }
    return names.isEmpty && nodes[path] == nil ? nil : Set(names.map(String.init)).sorted()
  }

  func write(_ path: String, _ value: String) async throws { changes.withLock { $0.written[path] = value } }

  func remove(_ path: String) async throws {
    changes.withLock { changes in
      for node in Set(snapshot.keys).union(changes.written.keys) where node == path || node.hasPrefix(path + "/") {
        changes.written[node] = .some(nil)
      }
    }
  }

  func setPermissions(_ path: String, _ permissions: [String]) async throws { changes.withLock { $0.permissions[path] = permissions } }
}
