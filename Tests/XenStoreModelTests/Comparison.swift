import XenInterface
import XenStoreWire

/// Runs a schedule on the reference store and another one, operation by operation, until they differ.
struct Comparison {
  var model: ReferenceStore
  let store: any StoreUnderTest
  /// Makes what stores may do differently alike, before comparing.
  var normalize: (_ request: XenStorePacket, _ packet: XenStorePacket) -> XenStorePacket = { _, packet in packet }
  /// Whether the events of a commit, and those of a removal, may come in any order, and those that the real daemon has besides may come.
  var isLenientOnEvents = false
  private var slots: [[UInt32]] = Schedule.domains.map { _ in [0, 0, 0] }
  private(set) var commits = 0
  private(set) var conflicts = 0

  init(limits: ReferenceStore.Limits, store: any StoreUnderTest, clients: Int = Schedule.domains.count) throws {
    model = ReferenceStore(limits: limits)
    self.store = store
    for client in 0..<clients { try connect(client) }
  }

  private mutating func connect(_ client: Int) throws {
    model.clients[client] = ReferenceStore.Client(domain: Schedule.domains[client], isPrivileged: Schedule.domains[client] == 0)
    slots[client] = [0, 0, 0]
    try store.connect(client, domain: Schedule.domains[client])
  }

  /// What differs, or nil.
  mutating func perform(_ operation: Operation) throws -> String? {
    let isOpen = model.clients[operation.client]!.isOpen
    switch operation.kind {
    case .connect:
      if !isOpen { try connect(operation.client) }
    case .disconnect:
      if isOpen {
        model.disconnect(operation.client)
        try store.disconnect(operation.client)
      }
    case .request(let type, let slot, let payload):
      if isOpen { return try request(type, slot, payload, operation.client) }
    }
    return nil
  }

  private mutating func request(_ type: XenStoreMessageType, _ slot: Int, _ payload: [UInt8], _ client: Int) throws -> String? {
    var number = slots[client][slot]
    // A start in an empty slot fills it; anything else there is in a transaction that nobody has.
    if slot > 0, number == 0, type != .transactionStart { number = 999_999 }
    let request = XenStorePacket(type, requestID: 7, transactionID: number, payload: payload)
    let before = Set(model.clients.filter(\.value.isOpen).keys)
    let outcome = model.answer(request, from: client)
    var received = try store.perform(request, from: client)
    let ended = Set(store.takeEnded())
    let expectedEnd = before.subtracting(model.clients.filter(\.value.isOpen).keys)
    if ended != expectedEnd { return "connections ended: \(ended.sorted()), expected \(expectedEnd.sorted())" }
    for client in ended { received[client] = nil }

    var expected: Received = outcome.eventsBefore.mapValues { $0.map { XenStorePacket(.watchEvent, payload: $0) } }
    var reply = request
    reply.payload = outcome.reply
    if outcome.isError { reply.rawType = XenStoreMessageType.error.rawValue }
    if type == .transactionStart, !outcome.isError {
      let new = received[client]?.last.flatMap { UInt32(Operation.text($0.payload).dropLast()) }
      guard let new, new != 0, model.clients[client]!.transactions[new] == nil else { return "no number of a transaction: \(received)" }
      reply.payload = Array(String(new).utf8) + [0]
      slots[client][slot] = new
      model.begin(new, of: client)
    }
    if type == .transactionEnd, slots[client][slot] != 0, model.clients[client]!.transactions[slots[client][slot]] == nil {
      slots[client][slot] = 0
      if outcome.isError { conflicts += 1 } else { commits += 1 }
    }
    if type == .resetWatches, !outcome.isError { slots[client] = [0, 0, 0] }
    expected[client, default: []].append(reply)
    if let event = outcome.firstEvent { expected[client]!.append(XenStorePacket(.watchEvent, payload: event)) }

    for client in model.clients.keys.sorted() where !ended.contains(client) {
      var wanted = (expected[client] ?? []).map { normalize(request, $0) }
      var got = (received[client] ?? []).map { normalize(request, $0) }
      if isLenientOnEvents, type == .transactionEnd || type == .remove {
        let permitted = (outcome.permittedEvents[client] ?? []).map { XenStorePacket(.watchEvent, payload: $0) }
        got = got.filter { !permitted.contains($0) || wanted.contains($0) }
        wanted = Comparison.withEventsSorted(wanted)
        got = Comparison.withEventsSorted(got)
      }
      if wanted != got { return "client \(client) got \(Comparison.text(got)), expected \(Comparison.text(wanted))" }
    }
    return nil
  }

  private static func withEventsSorted(_ packets: [XenStorePacket]) -> [XenStorePacket] {
    let events = packets.filter { $0.type == .watchEvent }.sorted { $0.payload.lexicographicallyPrecedes($1.payload) }
    return events + packets.filter { $0.type != .watchEvent }
  }

  private static func text(_ packets: [XenStorePacket]) -> String {
    packets.isEmpty ? "nothing" : packets.map { "\($0.type.map { "\($0)" } ?? "?") \(Operation.text($0.payload))" }.joined(separator: ", ")
  }

  /// Whether an operation is in a transaction that cannot be committed any more, here or by the real daemon's rule.
  func isInConflict(_ operation: Operation) -> Bool {
    guard case .request(_, let slot, _) = operation.kind else { return false }
    guard let transaction = model.clients[operation.client]!.transactions[slots[operation.client][slot]] else { return false }
    return transaction.hasConflict(model.nodes) || transaction.hasConflictByTheRule(model.nodes)
  }

  /// What differs between the trees; everything is read by `client`, who is privileged.
  mutating func compareTrees(client: Int) throws -> String? {
    for path in model.nodes.keys.sorted() {
      for type in [XenStoreMessageType.read, .directory, .getPermissions] {
        let payload = Array(path.utf8) + [0]
        if let difference = try request(type, 0, payload, client) { return "\(type) \(path) in the end: \(difference)" }
      }
    }
    return nil
  }

  /// The generation in a DIRECTORY_PART reply is the store's own affair.
  static func withoutGeneration(_ request: XenStorePacket, _ packet: XenStorePacket) -> XenStorePacket {
    guard request.type == .directoryPart, packet.type == .directoryPart, let end = packet.payload.firstIndex(of: 0) else { return packet }
    var packet = packet
    packet.payload = Array("generation".utf8) + packet.payload[end...]
    return packet
  }
}
