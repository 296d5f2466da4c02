import XenInterface
import XenStoreWire

extension XenStoreCore {
  // MARK: Requests

  func addWatch(_ request: StoreRequest) throws(XenStoreError) -> Watch {
    let connection = request.connection
    let (target, path, token) = try watchArguments(request)
    guard find(target, path, token, of: connection) == nil else { throw .exists }
    if !connection.isPrivileged, usage[connection.domain, default: DomainUsage()].watchCount >= quotas.watchesPerDomain { throw .noSpace }

    let isRelative = path.first != UInt8(ascii: "/") && path.first != UInt8(ascii: "@")
    let watch = Watch(
      connection: connection, target: target, givenPath: Array(path), isRelative: isRelative, token: Array(token), serial: nextSerial())
    connection.watches.append(watch)
    watches.insert(watch)
    count(connection.domain, \.watchCount, 1)
    return watch
  }

  func removeWatch(_ request: StoreRequest) throws(XenStoreError) {
    let connection = request.connection
    let (target, path, token) = try watchArguments(request)
    guard let index = find(target, path, token, of: connection) else { throw .noEntry }
    watches.remove(connection.watches.remove(at: index))
    count(connection.domain, \.watchCount, -1)
  }

  /// Ends the connection's watches and transactions, the one that the request came in among them.
  func resetWatches(_ request: StoreRequest) throws(XenStoreError) {
    dropWatchesAndTransactions(of: request.connection)
  }

  private func watchArguments(
    _ request: StoreRequest
  ) throws(XenStoreError) -> (target: WatchTarget, path: ArraySlice<UInt8>, token: ArraySlice<UInt8>) {
    guard let strings = XenStorePayload.strings(request.payload), strings.count == 2,
      strings[1].count <= XenStoreProtocol.maximumTokenByteCount
    else { throw .invalidArgument }
    let path = strings[0]
    if path.first == UInt8(ascii: "@") {
      guard path.count <= XenStoreProtocol.maximumPathByteCount else { throw .invalidArgument }
      return (.special(String(decoding: path, as: UTF8.self)), path, strings[1])
    }
    return (.node(try nodePath(path, request)), path, strings[1])
  }

  /// One node may be watched under its absolute and its relative path with the same token: the two are reported differently.
  private func find(
    _ target: WatchTarget, _ path: ArraySlice<UInt8>, _ token: ArraySlice<UInt8>, of connection: StoreConnection
  ) -> Int? {
    connection.watches.firstIndex { watch in
      watch.target == target && watch.token.elementsEqual(token) && watch.givenPath.elementsEqual(path)
    }
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

  func report(special name: String) {
    for watch in watches.watches(ofSpecial: name) where isAllowed(watch.connection, .read, by: specialPermissions[name] ?? []) {
      send(event: watch, reporting: watch.givenPath)
    }
  }

  private func send(_ path: XenStorePath, to watches: [Watch], permissions: [[XenStorePermission]?]) {
    for watch in watches {
      guard permissions.contains(where: { $0.map { isAllowed(watch.connection, .read, by: $0) } ?? false }) else { continue }
      if watch.isRelative, let relative = path.relative(to: .home(of: watch.connection.domain)) {
        send(event: watch, reporting: Array(relative))
      } else {
        send(event: watch, reporting: path.bytes)
      }
    }
  }
}
