import XenInterface
import XenStoreClient
import XenStoreWire

/// Reads a whole part of the store, all children of a node at once.
enum StoreWalk {
  struct Node {
    var path: String
    var name: String
    /// Nil when we may not read it.
    var value: [UInt8]?
    var permissions: [XenStorePermission] = []
    /// 0 for the children of where the walk began.
    var depth: Int

    /// The value for people; `?` stands for one that we may not read.
    var text: String { value.map { "\"\(StoreText($0).escaped)\"" } ?? "?" }
  }

  /// Most requests that wait for their replies.
  private static let batchNodeCount = 128

  /// Everything below `path`, parents before children, in the store's order. Nodes that vanish meanwhile are left out.
  static func nodes(below path: String, _ store: some XenStoreAccess) async throws(XenStoreClientError) -> [Node] {
    // A stack of our own: the tree may be deeper than the thread's.
    var result: [Node] = []
    var pending = try await children(of: path, names: try await store.directory(path), depth: 0, store)
    while let (node, names) = pending.popLast() {
      result.append(node)
      pending += try await children(of: node.path, names: names, depth: node.depth + 1, store)
    }
    return result
  }

  /// What lies below a directory, by path relative to it; nil when it is missing.
  static func values(below path: String, _ store: XenStoreClient) async throws -> [String: String]? {
    guard try await store.exists(path) else { return nil }
    var result: [String: String] = [:]
    for node in try await nodes(below: path, store) {
      result[String(node.path.dropFirst(path.count + 1))] = node.value.map { StoreText($0).plain }
    }
    return result
  }

  /// The node itself.
  static func node(_ path: String, _ store: some XenStoreAccess) async throws(XenStoreClientError) -> Node {
    var batch = XenStoreBatch()
    let (value, permissions) = (batch.readBytes(path), batch.permissions(path))
    let replies = await store.perform(batch)
    return Node(path: path, name: path, value: try replies[value], permissions: try replies[permissions], depth: -1)
  }

  /// The children with the names of theirs, the last one first.
  private static func children(
    of path: String, names: [String], depth: Int, _ store: some XenStoreAccess
  ) async throws(XenStoreClientError) -> [(Node, names: [String])] {
    let base = path == "/" ? "" : path
    var result: [(Node, names: [String])] = []
    for start in stride(from: 0, to: names.count, by: batchNodeCount) {
      var batch = XenStoreBatch()
      let expected = names[start..<min(start + batchNodeCount, names.count)].map { name in
        let path = "\(base)/\(name)"
        return (path, name, batch.readBytes(path), batch.permissions(path), batch.directory(path))
      }
      let replies = await store.perform(batch)
      for (path, name, value, permissions, directory) in expected {
        do throws(XenStoreClientError) {
          var node = Node(path: path, name: name, value: try allowed { () throws(XenStoreClientError) in try replies[value] }, depth: depth)
          node.permissions = try allowed { () throws(XenStoreClientError) in try replies[permissions] } ?? []
          result.append((node, try await self.names(of: path, replies, directory, store)))
        } catch {
          if error.storeError != .noEntry { throw error }
        }
      }
    }
    return result.reversed()
  }

  private static func names(
    of path: String, _ replies: XenStoreBatchReplies, _ directory: XenStoreBatch.Reply<[String]>, _ store: some XenStoreAccess
  ) async throws(XenStoreClientError) -> [String] {
    do throws(XenStoreClientError) {
      return try replies[directory]
    } catch {
      switch error.storeError {
      case .tooBig: return try await store.directory(path)
      case .accessDenied: return []
      default: throw error
      }
    }
  }

  private static func allowed<Value>(_ body: () throws(XenStoreClientError) -> Value) throws(XenStoreClientError) -> Value? {
    do throws(XenStoreClientError) { return try body() } catch {
      if error.storeError == .accessDenied { return nil }
      throw error
    }
  }
}
