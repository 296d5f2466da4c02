import XenInterface
import XenStoreWire

extension XenStoreCore {
  // MARK: Requests

  func addWatch(_ request: StoreRequest) throws(XenStoreError) -> Watch {
    let connection = request.connection
    let (target, path, token, depth) = try watchArguments(request)
    guard find(target, token, of: connection) == nil else { throw .exists }
    if !connection.isPrivileged {
      let limit = limit(.watches, of: connection.domain)
      let count = (usage[connection.domain]?.watchCount ?? 0) + 1
      guard count <= limit else { throw refuse(.watches, of: connection.domain, limit: limit, value: count) }
      try checkMemory(of: connection.domain, adding: XenStoreCore.memoryByteCount(ofWatchAt: path, token: token))
    }

    let isRelative = path.first != UInt8(ascii: "/") && path.first != UInt8(ascii: "@")
    let watch = Watch(
      connection: connection, target: target, givenPath: Array(path), isRelative: isRelative, token: Array(token), depth: depth,
      serial: nextSerial())
    connection.watches.append(watch)
    watches.insert(watch)
    count(watch, sign: 1)
    return watch
  }

  func removeWatch(_ request: StoreRequest) throws(XenStoreError) {
    let connection = request.connection
    let (target, _, token, _) = try watchArguments(request, withBadPath: .noEntry)
    guard let index = find(target, token, of: connection) else { throw .noEntry }
    let watch = connection.watches.remove(at: index)
    watches.remove(watch)
    count(watch, sign: -1)
  }

  /// Ends the connection's watches and transactions, the one that the request came in among them.
  func resetWatches(_ request: StoreRequest) throws(XenStoreError) {
    dropWatchesAndTransactions(of: request.connection)
  }

  /// `<wpath>|<token>|[<depth>|]`. The depth is how many levels below the node the watch reaches, for clients that have the feature; a
  /// special name has none below but the domain that it happened to. UNWATCH names a watch by path and token alone; what cannot be a
  /// path is watched by nobody, which is what it throws then.
  private func watchArguments(
    _ request: StoreRequest, withBadPath badPath: XenStoreError = .invalidArgument
  ) throws(XenStoreError) -> (target: WatchTarget, path: ArraySlice<UInt8>, token: ArraySlice<UInt8>, depth: UInt32?) {
    guard let strings = XenStorePayload.strings(request.payload), (2...3).contains(strings.count),
      strings[1].count <= XenStoreProtocol.maximumTokenByteCount
    else { throw .invalidArgument }
    let path = strings[0]
    var depth: UInt32?
    if strings.count == 3 {
      guard features(of: request.connection.domain).contains(.watchDepth) else { throw .invalidArgument }
      depth = XenStorePayload.number(strings[2])
      guard let depth, path.first != UInt8(ascii: "@") || depth <= 1 else { throw .invalidArgument }
    }
    if path.first == UInt8(ascii: "@") {
      guard path.count <= XenStoreProtocol.maximumPathByteCount else { throw .invalidArgument }
      return (.special(String(decoding: path, as: UTF8.self)), path, strings[1], depth)
    }
    do throws(XenStoreError) {
      return (.node(try nodePath(path, request)), path, strings[1], depth)
    } catch {
      throw error == .invalidArgument ? badPath : error
    }
  }

  /// A node's absolute and its relative path are the same watch, as in Xen's daemon: the token tells watches apart.
  private func find(_ target: WatchTarget, _ token: ArraySlice<UInt8>, of connection: StoreConnection) -> Int? {
    connection.watches.firstIndex { $0.target == target && $0.token.elementsEqual(token) }
  }

  // MARK: Events

  /// Tells the watches of a node and of all above it that it changed. `permissions` are those that it and its parent have or had: a domain
  /// that none of them lets read must not learn of the change (XSA-115).
  /// They are looked up only when somebody watches.
  func report(_ path: XenStorePath, permissions: @autoclosure () -> [[XenStorePermission]?]) {
    let concerned = watches.watches(concerning: path)
    if !concerned.isEmpty { send(path, to: concerned, permissions: permissions()) }
  }

  /// Tells the watches of exactly this node that it went away with a node above it.
  func reportRemovalWithAncestor(of path: XenStorePath, permissions: [[XenStorePermission]?]) {
    send(path, to: watches.watches(at: path), permissions: permissions)
  }

  private func send(_ path: XenStorePath, to watches: [Watch], permissions: [[XenStorePermission]?]) {
    for watch in watches {
      if watch.maximumPathDepth != .max, path.depth > watch.maximumPathDepth { continue }
      guard permissions.contains(where: { $0.map { isAllowed(watch.connection, .read, by: $0) } ?? false }) else { continue }
      if watch.isRelative, let relative = path.relative(to: .home(of: watch.connection.domain)) {
        send(event: watch, reporting: Array(relative))
      } else {
        send(event: watch, reporting: path.bytes)
      }
    }
  }
}
