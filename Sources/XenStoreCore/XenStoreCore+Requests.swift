import XenInterface
import XenStoreWire

/// One request and what it acts on.
struct StoreRequest {
  let packet: XenStorePacket
  let connection: StoreConnection
  let transaction: StoreTransaction?

  var payload: [UInt8] { packet.payload }
}

extension XenStoreCore {
  private static let acknowledgement = Array("OK".utf8) + [0]

  /// Answers one request: exactly one reply, the events it causes for its own connection before it, the first event of a new watch after it.
  /// What it changes is one commit.
  func handle(_ packet: XenStorePacket, from connection: StoreConnection) {
    guard journal.isOn else { return answer(packet, from: connection) }
    asOneCommit { answer(packet, from: connection) }
  }

  private func answer(_ packet: XenStorePacket, from connection: StoreConnection) {
    var reply = XenStorePacket(rawType: packet.rawType, requestID: packet.requestID, transactionID: packet.transactionID, payload: [])
    var newWatch: Watch?
    var refusal: XenStoreError?
    do throws(XenStoreError) {
      reply.payload = try answer(packet, from: connection, newWatch: &newWatch)
      if packet.transactionID != 0, !connection.isPrivileged { try settle(packet, from: connection) }
      // A peer that asked for more than fits must be told, never sent a packet that breaks the stream (XSA-72).
      if reply.payload.count > XenStoreProtocol.maximumPayloadByteCount { throw .tooBig }
    } catch {
      reply.rawType = XenStoreMessageType.error.rawValue
      reply.payload = error.payload
      refusal = error
    }
    if isTracing { trace(packet, from: connection, outcome: refusal) }
    guard connection.fault == nil, connection.postponed == nil else { return }
    send(reply: reply, to: connection, isProvisional: isProvisional(packet, refusal))
    if let newWatch { send(event: newWatch, reporting: newWatch.givenPath) }
  }

  /// Whether a reply may leave before the changes that it shows are durable: what a transaction saw is confirmed, or not, by its end,
  /// and a client that has to try again has learned nothing.
  private func isProvisional(_ packet: XenStorePacket, _ refusal: XenStoreError?) -> Bool {
    guard let type = packet.type else { return true }
    if type == .transactionStart || refusal == .tryAgain { return true }
    return packet.transactionID != 0 && type != .transactionEnd && !type.ignoresTransaction
  }

  private func answer(
    _ packet: XenStorePacket, from connection: StoreConnection, newWatch: inout Watch?
  ) throws(XenStoreError) -> [UInt8] {
    guard let type = packet.type else { throw .notImplemented }
    if type.needsPrivilege, !connection.isPrivileged { throw .accessDenied }

    var transaction: StoreTransaction?
    if packet.transactionID != 0, !type.ignoresTransaction {
      transaction = connection.transactions[packet.transactionID]
      guard transaction != nil else { throw .noEntry }
    }
    if let changeRefusal, transaction == nil, type.changesTheStore { throw changeRefusal }
    let request = StoreRequest(packet: packet, connection: connection, transaction: transaction)

    switch type {
    case .directory: return try directory(request)
    case .directoryPart: return try directoryPart(request)
    case .read: return try read(request)
    case .getPermissions: return try getPermissions(request)
    case .write: try failingTransaction(of: request) { () throws(XenStoreError) in try write(request) }
    case .makeDirectory: try failingTransaction(of: request) { () throws(XenStoreError) in try makeDirectory(request) }
    case .remove: try failingTransaction(of: request) { () throws(XenStoreError) in try remove(request) }
    case .setPermissions: try failingTransaction(of: request) { () throws(XenStoreError) in try setPermissions(request) }
    case .watch: newWatch = try addWatch(request)
    case .unwatch: try removeWatch(request)
    case .resetWatches: try resetWatches(request)
    case .transactionStart: return try startTransaction(request)
    case .transactionEnd: try endTransaction(request)
    case .introduce: try introduce(request)
    case .release: try release(request)
    case .isDomainIntroduced: return try isDomainIntroduced(request)
    case .getDomainPath: return try getDomainPath(request)
    case .resume: try resume(request)
    case .setTarget: try setTarget(request)
    case .control: return try control(request)
    case .getFeature: return try getFeature(request)
    case .setFeature: try setFeature(request)
    case .getQuota: return try getQuota(request)
    case .setQuota: try setQuota(request)
    // A client cannot send what only a daemon says.
    case .watchEvent, .error, .invalid: throw .notImplemented
    }
    return XenStoreCore.acknowledgement
  }

  /// A change that could not be carried out for lack of room makes the commit fail too; one that was refused did not happen, and the
  /// client may well go on without it.
  private func failingTransaction(
    of request: StoreRequest, _ change: () throws(XenStoreError) -> Void
  ) throws(XenStoreError) {
    do throws(XenStoreError) {
      try change()
    } catch {
      if error == .noSpace || error == .noMemory || error == .inputOutput { request.transaction?.failure = error }
      throw error
    }
  }

  /// The node that a payload of one path names.
  func onlyPath(_ request: StoreRequest) throws(XenStoreError) -> XenStorePath {
    guard let text = XenStorePayload.onlyString(request.payload) else { throw .invalidArgument }
    return try nodePath(text, request)
  }

  /// A path as the request's connection means it. Special names are no nodes.
  func nodePath(_ text: ArraySlice<UInt8>, _ request: StoreRequest) throws(XenStoreError) -> XenStorePath {
    guard text.first != UInt8(ascii: "@") else { throw .invalidArgument }
    guard !request.connection.isPrivileged else { return try XenStorePath(text, relativeTo: request.connection.domain) }
    return try limitedPath(text, request.connection)
  }

  /// A domain number as privileged requests carry it; reserved ones are refused.
  func domain(_ text: ArraySlice<UInt8>) throws(XenStoreError) -> DomainID {
    guard let number = XenStorePayload.number(text, as: UInt16.self), DomainID(rawValue: number) < .firstReserved else {
      throw .invalidArgument
    }
    return DomainID(rawValue: number)
  }
}

extension XenStoreMessageType {
  /// Refused with EACCES to everyone but privileged connections.
  var needsPrivilege: Bool {
    switch self {
    case .control, .introduce, .release, .isDomainIntroduced, .resume, .setTarget, .setFeature, .getQuota, .setQuota: true
    default: false
    }
  }

  /// Changes what is kept, at once and outside a transaction.
  var changesTheStore: Bool {
    switch self {
    case .write, .makeDirectory, .remove, .setPermissions, .introduce, .release, .setTarget, .setQuota, .setFeature: true
    default: false
    }
  }

  /// Takes place outside any transaction, whatever the packet says.
  var ignoresTransaction: Bool { self == .watch || self == .unwatch }
}
