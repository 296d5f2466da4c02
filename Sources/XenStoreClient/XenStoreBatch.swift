import XenInterface
public import XenStoreWire

/// Requests that are sent together, without waiting for one before the next: one system call and one round trip for all.
///
/// ```swift
/// var batch = XenStoreBatch()
/// let state = batch.read("device/vbd/51712/state")
/// let keys = batch.directory("device/vbd/51712")
/// let replies = await store.perform(batch)
/// print(try replies[state], try replies[keys])
/// ```
/// The store carries them out in order, each for itself: one that is refused does not keep back the next. To do all or nothing, perform
/// the batch in a transaction.
public struct XenStoreBatch: Sendable {
  struct Request: Sendable {
    var type: XenStoreMessageType
    var path: String
    var payload: [UInt8]
  }

  /// Stands for a reply that is to come.
  public struct Reply<Value: Sendable>: Sendable {
    let index: Int
    /// Nil for a payload that the reply cannot have.
    let decode: @Sendable ([UInt8]) -> Value?
  }

  private(set) var requests: [Request] = []

  public init() {}

  public var isEmpty: Bool { requests.isEmpty }
  public var count: Int { requests.count }

  /// A node's value as text.
  public mutating func read(_ path: some XenStoreLocation) -> Reply<String> {
    add(.read, path) { String(decoding: $0, as: UTF8.self) }
  }

  /// A node's value.
  public mutating func readBytes(_ path: some XenStoreLocation) -> Reply<[UInt8]> { add(.read, path) { $0 } }

  /// Names of a node's children. Refused with E2BIG when they do not fit one packet: ``XenStoreAccess/directory(_:)`` gets them.
  public mutating func directory(_ path: some XenStoreLocation) -> Reply<[String]> {
    add(.directory, path) { XenStorePayload.strings($0)?.map { String(decoding: $0, as: UTF8.self) } }
  }

  /// A node's permissions.
  public mutating func permissions(_ path: some XenStoreLocation) -> Reply<[XenStorePermission]> {
    add(.getPermissions, path) { [XenStorePermission](payload: $0) }
  }

  /// Sets a node's value; what is missing on the way is created.
  @discardableResult
  public mutating func write(_ path: some XenStoreLocation, _ value: String) -> Reply<Void> { write(path, bytes: Array(value.utf8)) }

  /// Sets a node's value; what is missing on the way is created.
  @discardableResult
  public mutating func write(_ path: some XenStoreLocation, bytes: [UInt8]) -> Reply<Void> { add(.write, path, rest: bytes) { _ in } }

  /// Creates a node, and what is missing on the way.
  @discardableResult
  public mutating func makeDirectory(_ path: some XenStoreLocation) -> Reply<Void> { add(.makeDirectory, path) { _ in } }

  /// Removes a node and everything below it.
  @discardableResult
  public mutating func remove(_ path: some XenStoreLocation) -> Reply<Void> { add(.remove, path) { _ in } }

  /// Replaces a node's permissions.
  @discardableResult
  public mutating func setPermissions(_ path: some XenStoreLocation, _ permissions: [XenStorePermission]) -> Reply<Void> {
    add(.setPermissions, path, rest: permissions.payload) { _ in }
  }

  private mutating func add<Value>(
    _ type: XenStoreMessageType, _ path: some XenStoreLocation, rest: [UInt8] = [], _ decode: @escaping @Sendable ([UInt8]) -> Value?
  ) -> Reply<Value> {
    let path = path.storePath
    requests.append(Request(type: type, path: path, payload: XenStorePayload.join([path]) + rest))
    return Reply(index: requests.count - 1, decode: decode)
  }
}

/// What came of each request of a batch.
public struct XenStoreBatchReplies: Sendable {
  let requests: [XenStoreBatch.Request]
  let answers: [WaitingRequest.Answer]

  /// The reply, or why there is none.
  ///
  /// - Precondition: `reply` is of the batch that was performed.
  public subscript<Value>(_ reply: XenStoreBatch.Reply<Value>) -> Value {
    get throws(XenStoreClientError) {
      let payload = try answers[reply.index].get().payload
      guard let value = reply.decode(payload) else {
        throw .malformedReply(requests[reply.index].type, path: requests[reply.index].path)
      }
      return value
    }
  }

  /// Throws what the first request that failed threw.
  public func check() throws(XenStoreClientError) {
    for answer in answers { _ = try answer.get() }
  }
}
