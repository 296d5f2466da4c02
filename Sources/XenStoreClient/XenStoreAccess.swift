public import XenInterface
public import XenStoreWire

/// What can be asked of a store, inside and outside a transaction. Paths without a leading `/` are relative to the connection's domain.
public protocol XenStoreAccess: Sendable {
  /// Sends one request and waits for its reply's payload. `path` only names the object in errors.
  ///
  /// Throws ``XenStoreClientError/cancelled(_:path:)`` as soon as the task is cancelled; a request that was sent may take effect anyway.
  func request(_ type: XenStoreMessageType, about path: String, payload: [UInt8]) async throws(XenStoreClientError) -> [UInt8]

  /// Sends all requests of the batch, then waits for all replies.
  func perform(_ batch: XenStoreBatch) async -> XenStoreBatchReplies
}

extension XenStoreAccess {
  // MARK: Nodes

  /// A node's value as text. Throws ``XenStoreClientError/refused(_:path:_:)`` with ENOENT for a missing node.
  public func read(_ path: some XenStoreLocation) async throws(XenStoreClientError) -> String {
    String(decoding: try await readBytes(path), as: UTF8.self)
  }

  /// A node's value.
  public func readBytes(_ path: some XenStoreLocation) async throws(XenStoreClientError) -> [UInt8] {
    try await request(.read, path.storePath)
  }

  /// A node's value as text, or nil when there is no such node.
  public func readIfPresent(_ path: some XenStoreLocation) async throws(XenStoreClientError) -> String? {
    do throws(XenStoreClientError) {
      return try await read(path)
    } catch {
      if error.storeError == .noEntry { return nil }
      throw error
    }
  }

  /// Whether the node is there.
  public func exists(_ path: some XenStoreLocation) async throws(XenStoreClientError) -> Bool {
    try await readIfPresent(path) != nil
  }

  /// Sets a node's value; what is missing on the way is created.
  public func write(_ path: some XenStoreLocation, _ value: String) async throws(XenStoreClientError) {
    try await write(path, bytes: Array(value.utf8))
  }

  /// Sets a node's value; what is missing on the way is created.
  public func write(_ path: some XenStoreLocation, bytes: [UInt8]) async throws(XenStoreClientError) {
    let path = path.storePath
    try await acknowledged(.write, path, Array(path.utf8) + [0] + bytes)
  }

  /// Creates a node, and what is missing on the way; an existing one stays as it is.
  public func makeDirectory(_ path: some XenStoreLocation) async throws(XenStoreClientError) {
    _ = try await request(.makeDirectory, path.storePath)
  }

  /// Removes a node and everything below it. A missing node under an existing one is no error.
  public func remove(_ path: some XenStoreLocation) async throws(XenStoreClientError) {
    _ = try await request(.remove, path.storePath)
  }

  /// Names of a node's children, however many there are.
  public func directory(_ path: some XenStoreLocation) async throws(XenStoreClientError) -> [String] {
    let path = path.storePath
    do throws(XenStoreClientError) {
      return try names(try await request(.directory, path), of: .directory, path)
    } catch {
      if error.storeError == .tooBig { return try await directoryInParts(path) }
      throw error
    }
  }

  // MARK: Permissions

  /// A node's permissions; the first entry names the owner.
  public func permissions(_ path: some XenStoreLocation) async throws(XenStoreClientError) -> [XenStorePermission] {
    let path = path.storePath
    guard let permissions = [XenStorePermission](payload: try await request(.getPermissions, path)) else {
      throw .malformedReply(.getPermissions, path: path)
    }
    return permissions
  }

  /// Replaces a node's permissions; the owner's privilege.
  public func setPermissions(_ path: some XenStoreLocation, _ permissions: [XenStorePermission]) async throws(XenStoreClientError) {
    let path = path.storePath
    try await acknowledged(.setPermissions, path, Array(path.utf8) + [0] + permissions.payload)
  }

  // MARK: Domains

  /// A domain's home path.
  public func domainPath(_ domain: DomainID) async throws(XenStoreClientError) -> String {
    let reply = try await request(.getDomainPath, about: "domain \(domain)", payload: XenStorePayload.join([domain.description]))
    guard let path = XenStorePayload.onlyString(reply) else { throw .malformedReply(.getDomainPath, path: "domain \(domain)") }
    return String(decoding: path, as: UTF8.self)
  }

  /// Makes a domain known. Privileged. Frame and port of a store ring mean nothing to a store that is reached over sockets.
  public func introduce(_ domain: DomainID, frame: UInt64 = 1, port: EventChannelPort = EventChannelPort(rawValue: 1)) async throws(XenStoreClientError) {
    let arguments = [domain.description, String(frame), port.description]
    _ = try await request(.introduce, about: "domain \(domain)", payload: XenStorePayload.join(arguments))
  }

  /// Forgets a domain, its nodes and its permissions. Privileged.
  public func release(_ domain: DomainID) async throws(XenStoreClientError) {
    _ = try await request(.release, about: "domain \(domain)", payload: XenStorePayload.join([domain.description]))
  }

  /// Whether a domain is known. Privileged.
  public func isIntroduced(_ domain: DomainID) async throws(XenStoreClientError) -> Bool {
    let reply = try await request(.isDomainIntroduced, about: "domain \(domain)", payload: XenStorePayload.join([domain.description]))
    switch XenStorePayload.onlyString(reply) {
    case [UInt8(ascii: "T")]: return true
    case [UInt8(ascii: "F")]: return false
    default: throw .malformedReply(.isDomainIntroduced, path: "domain \(domain)")
    }
  }

  /// Gives a stub domain the rights of `target` besides its own. Privileged.
  public func setTarget(of stub: DomainID, to target: DomainID) async throws(XenStoreClientError) {
    _ = try await request(.setTarget, about: "domain \(stub)", payload: XenStorePayload.join([stub.description, target.description]))
  }

  /// The value of a quota for one domain, or for every one that has no value of its own; zero means no limit. Privileged.
  public func quota(_ name: String, of domain: DomainID? = nil) async throws(XenStoreClientError) -> Int {
    let arguments = domain.map { [$0.description, name] } ?? [name]
    let reply = try await request(.getQuota, about: name, payload: XenStorePayload.join(arguments))
    guard let text = XenStorePayload.onlyString(reply), let value = XenStorePayload.number(text, as: UInt32.self) else {
      throw .malformedReply(.getQuota, path: name)
    }
    return Int(value)
  }

  /// A command to the daemon; its answer. Privileged.
  public func control(_ arguments: [String]) async throws(XenStoreClientError) -> String {
    let reply = try await request(.control, about: arguments.first ?? "", payload: XenStorePayload.join(arguments))
    return String(decoding: reply.last == 0 ? reply.dropLast() : reply[...], as: UTF8.self)
  }

  // MARK: Steps

  private func request(_ type: XenStoreMessageType, _ path: String) async throws(XenStoreClientError) -> [UInt8] {
    guard !path.utf8.contains(0) else { throw .unsendable(type, path: path) }
    return try await request(type, about: path, payload: XenStorePayload.join([path]))
  }

  private func acknowledged(_ type: XenStoreMessageType, _ path: String, _ payload: [UInt8]) async throws(XenStoreClientError) {
    guard !path.utf8.contains(0) else { throw .unsendable(type, path: path) }
    _ = try await request(type, about: path, payload: payload)
  }

  private func names(_ bytes: [UInt8], of type: XenStoreMessageType, _ path: String) throws(XenStoreClientError) -> [String] {
    guard let names = XenStorePayload.strings(bytes) else { throw .malformedReply(type, path: path) }
    return names.map { String(decoding: $0, as: UTF8.self) }
  }

  /// Puts a large directory together from parts, starting over when it changed in between.
  private func directoryInParts(_ path: String) async throws(XenStoreClientError) -> [String] {
    var attempts = 0
    while attempts < 100 {
      attempts += 1
      if let names = try await directoryInPartsOnce(path) { return names }
    }
    throw .contended(attempts: attempts)
  }

  private func directoryInPartsOnce(_ path: String) async throws(XenStoreClientError) -> [String]? {
    var generation: ArraySlice<UInt8>?
    var list: [UInt8] = []
    while true {
      let reply = try await request(.directoryPart, about: path, payload: XenStorePayload.join([path, String(list.count)]))
      guard let (partGeneration, part) = XenStorePayload.stringAndRest(reply), part.last == 0 else {
        throw .malformedReply(.directoryPart, path: path)
      }
      if let generation, !generation.elementsEqual(partGeneration) { return nil }
      generation = partGeneration
      // An empty name ends the list.
      if part.count == 1 || part.dropLast().last == 0 {
        return try names(list + part.dropLast(), of: .directoryPart, path)
      }
      list.append(contentsOf: part)
    }
  }
}
