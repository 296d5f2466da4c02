import XenInterface
import XenStoreWire

/// The store as plainly as it can be said: dictionaries of nodes, copied for every transaction. Written from the description of what the
/// real daemon does (`docs/decisions/0015-store-deviations.md` says where the two differ), not from the store that it is compared with.
struct ReferenceStore {
  struct Limits {
    var nodes = 24
    var watches = 6
    var transactions = 3
    var permissions = 5
  }

  struct Client {
    var domain: Int
    var isPrivileged: Bool
    var isOpen = true
    var watches: [Watch] = []
    var transactions: [UInt32: ReferenceTransaction] = [:]
  }

  struct Watch {
    /// A node's path, or a name that begins with `@`.
    var target: String
    var given: [UInt8]
    var token: [UInt8]
    var depth: Int?
    var age: Int
  }

  /// What one request brought about, client by client: whole payloads of events, and the reply's type and payload.
  struct Outcome {
    var isError = false
    var reply: [UInt8] = []
    var eventsBefore: [Int: [[UInt8]]] = [:]
    /// What the real daemon tells besides, on a commit.
    var permittedEvents: [Int: [[UInt8]]] = [:]
    /// Of a new watch, behind its reply.
    var firstEvent: [UInt8]?

    mutating func add(_ event: [UInt8], for client: Int) {
      // What waits unread already is not added again.
      if eventsBefore[client]?.contains(event) != true { eventsBefore[client, default: []].append(event) }
    }
  }

  struct Refusal: Error {
    var name: String
    init(_ name: String) { self.name = name }
  }

  let limits: Limits
  var nodes: [String: ReferenceNode] = ["/": ReferenceNode(value: [], permissions: [ReferencePermission(letter: "n", domain: 0)], change: 0)]
  var clients: [Int: Client] = [:]
  var introduced: Set<Int> = [0]
  var targets: [Int: Int] = [:]
  var special = [
    "@introduceDomain": [ReferencePermission(letter: "n", domain: 0)], "@releaseDomain": [ReferencePermission(letter: "n", domain: 0)],
  ]
  var clock = 0
  /// Commits that were refused for a conflict although the real daemon's rule has none.
  var conflictsBeyondTheRule = 0

  init(limits: Limits) { self.limits = limits }

  /// Answers a request that is not TRANSACTION_START's success: who calls that tells the number with ``begin(_:of:)``.
  mutating func answer(_ request: XenStorePacket, from client: Int) -> Outcome {
    clock += 1
    var outcome = Outcome()
    do {
      outcome.reply = try reply(to: request, from: client, &outcome)
    } catch {
      outcome.isError = true
      outcome.reply = Array((error as! Refusal).name.utf8) + [0]
    }
    return outcome
  }

  mutating func begin(_ transaction: UInt32, of client: Int) {
    clients[client]!.transactions[transaction] = ReferenceTransaction(nodes: nodes)
  }

  mutating func disconnect(_ client: Int) {
    clients[client]?.isOpen = false
    clients[client]?.watches = []
    clients[client]?.transactions = [:]
  }

  private mutating func reply(to request: XenStorePacket, from client: Int, _ outcome: inout Outcome) throws -> [UInt8] {
    guard let type = request.type else { throw Refusal("ENOSYS") }
    let privileged: Set<XenStoreMessageType> = [.introduce, .release, .isDomainIntroduced, .resume, .setTarget, .control]
    if privileged.contains(type), !clients[client]!.isPrivileged { throw Refusal("EACCES") }
    let number = type == .watch || type == .unwatch ? 0 : request.transactionID
    if number != 0, clients[client]!.transactions[number] == nil { throw Refusal("ENOENT") }
    var access = ReferenceAccess(client: client, domain: clients[client]!.domain, transaction: number)
    access.isPrivileged = clients[client]!.isPrivileged
    let payload = request.payload
    switch type {
    case .read: return try view(path(payload, access), access, needing: \.mayRead).value
    case .directory:
      let path = try path(payload, access)
      _ = try view(path, access, needing: \.mayRead)
      return names(below: path, access).flatMap { $0 + [0] }
    case .directoryPart: return try directoryPart(payload, access)
    case .getPermissions:
      let permissions =
        payload.first == UInt8(ascii: "@") && payload.firstIndex(of: 0) == payload.count - 1
        ? try specialPermissions(payload.dropLast(), access) : try view(path(payload, access), access, needing: \.mayRead).permissions
      return permissions.flatMap { Array($0.text.utf8) + [0] }
    case .write: try write(payload, access, &outcome)
    case .makeDirectory: try makeDirectory(payload, access, &outcome)
    case .remove: try remove(payload, access, &outcome)
    case .setPermissions: try setPermissions(payload, access, &outcome)
    case .watch: outcome.firstEvent = try watch(payload, access)
    case .unwatch: try unwatch(payload, access)
    case .resetWatches:
      clients[client]!.watches = []
      clients[client]!.transactions = [:]
    case .transactionStart:
      if number != 0 { throw Refusal("EBUSY") }
      let count = clients.values.filter { $0.domain == access.domain }.reduce(0) { $0 + $1.transactions.count }
      if !access.isPrivileged, count >= limits.transactions { throw Refusal("ENOSPC") }
      return []
    case .transactionEnd: try end(payload, access, &outcome)
    case .getDomainPath: return Array("/local/domain/\(try domain(payload))".utf8) + [0]
    case .introduce, .release, .isDomainIntroduced, .resume, .setTarget: return try administer(type, payload, access, &outcome)
    default: throw Refusal("ENOSYS")
    }
    return Array("OK".utf8) + [0]
  }
}

/// Who asks, and in which transaction; zero for none.
struct ReferenceAccess {
  var client: Int
  var domain: Int
  var transaction: UInt32
  var isPrivileged = false
}
