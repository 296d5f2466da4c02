import TestSupport
import Testing
import XenInterface
@testable import XenStoreCore
import XenStoreWire

/// Clients that speak to one core whose clock the test moves.
private final class FairStore {
  let core = XenStoreCore()
  private(set) var now: UInt64 = 1
  private var parsers: [XenStoreConnectionID: XenStorePacketParser] = [:]

  init() { core.advance(to: now) }

  func connect(_ domain: UInt16 = 0) -> XenStoreConnectionID {
    core.connect(domain: DomainID(rawValue: domain), privileged: domain == 0)
  }

  func pass(nanoseconds: UInt64) {
    now += nanoseconds
    core.advance(to: now)
  }

  func send(_ type: XenStoreMessageType, _ payload: String, in transaction: UInt32 = 0, from id: XenStoreConnectionID) {
    let bytes = Array(payload.utf8).map { $0 == UInt8(ascii: "|") ? 0 : $0 }
    core.receive(XenStorePacket(type, requestID: 7, transactionID: transaction, payload: bytes).encoded, from: id)
  }

  /// The replies that have come, events left out: a payload each, or the error's name.
  func replies(_ id: XenStoreConnectionID) -> [String] {
    var texts: [String] = []
    var parser = parsers[id] ?? XenStorePacketParser()
    while let bytes = core.nextOutput(for: id) {
      parser.feed(bytes)
      while case .packet(let packet) = parser.next() {
        if packet.type == .watchEvent { continue }
        texts.append(String(decoding: packet.payload.filter { $0 != 0 }, as: UTF8.self))
      }
    }
    parsers[id] = parser
    return texts
  }

  func ask(_ type: XenStoreMessageType, _ payload: String, in transaction: UInt32 = 0, from id: XenStoreConnectionID) -> String? {
    send(type, payload, in: transaction, from: id)
    return replies(id).first
  }

  func start(_ id: XenStoreConnectionID) -> UInt32? { ask(.transactionStart, "|", from: id).flatMap { UInt32($0) } }

  /// A transaction of `id` that reads `/hot` and meets a conflict: its next one has a turn.
  func meetConflict(_ id: XenStoreConnectionID, writer: XenStoreConnectionID) throws {
    let transaction = try #require(start(id))
    #expect(ask(.read, "/hot|", in: transaction, from: id) != nil)
    #expect(ask(.write, "/hot|x", from: writer) == "OK")
    #expect(ask(.transactionEnd, "T|", in: transaction, from: id) == "EAGAIN")
  }
}

@Suite struct FairnessTests {
  private let store = FairStore()
  private let writer: XenStoreConnectionID
  private let client: XenStoreConnectionID

  init() {
    writer = store.connect()
    client = store.connect()
    _ = store.ask(.write, "/hot|0", from: writer)
    _ = store.ask(.write, "/cold|0", from: writer)
  }

  @Test("XSA-206: after a conflict a transaction has its nodes to itself, and others' changes come after it")
  func aTurnKeepsChangesAway() throws {
    try store.meetConflict(client, writer: writer)
    let transaction = try #require(store.start(client))
    #expect(store.ask(.read, "/hot|", in: transaction, from: client) == "x")
    store.send(.write, "/hot|late", from: writer)
    store.send(.read, "/hot|", from: writer)
    #expect(store.replies(writer).isEmpty)
    #expect(store.core.isHeldBack(writer))
    #expect(store.ask(.write, "/hot|mine", in: transaction, from: client) == "OK")
    #expect(store.ask(.transactionEnd, "T|", in: transaction, from: client) == "OK")
    #expect(store.replies(writer) == ["OK", "late"])
  }

  @Test func whatATurnIsNotAboutGoesOn() throws {
    try store.meetConflict(client, writer: writer)
    _ = try #require(store.start(client))
    let other = store.connect()
    #expect(store.ask(.write, "/cold|1", from: writer) == "OK")
    #expect(store.ask(.read, "/hot|", from: other) == "x")
    #expect(store.ask(.write, "/hot/below|1", from: other) == nil)
  }

  @Test(arguments: [
    (XenStoreMessageType.write, "/hot|1"), (.makeDirectory, "/hot/new|"), (.remove, "/hot|"), (.remove, "/|"), (.setPermissions, "/hot|n0|"),
    (.remove, "/hot/child|"), (.write, "/hot/a/b|1"),
  ])
  func everyKindOfChangeWaitsForATurn(type: XenStoreMessageType, payload: String) throws {
    _ = store.ask(.write, "/hot/child|1", from: writer)
    try store.meetConflict(client, writer: writer)
    let transaction = try #require(store.start(client))
    store.send(type, payload, from: writer)
    // Removing the root is refused at once or later, but it is refused.
    let early = store.replies(writer)
    #expect(early.isEmpty || early == ["EINVAL"])
    #expect(store.ask(.transactionEnd, "T|", in: transaction, from: client) == "OK")
    #expect(early.isEmpty == !store.replies(writer).isEmpty)
  }

  @Test func aCommitThatWouldDisturbATurnWaitsAndThenMeetsTheConflict() throws {
    try store.meetConflict(client, writer: writer)
    let turn = try #require(store.start(client))
    let other = store.connect()
    let disturbing = try #require(store.start(other))
    #expect(store.ask(.write, "/hot|other", in: disturbing, from: other) == "OK")
    #expect(store.ask(.transactionEnd, "T|", in: disturbing, from: other) == nil)
    #expect(store.ask(.write, "/hot|mine", in: turn, from: client) == "OK")
    #expect(store.ask(.transactionEnd, "T|", in: turn, from: client) == "OK")
    #expect(store.replies(other) == ["EAGAIN"])
  }

  @Test func turnsComeInOrder() throws {
    let second = store.connect()
    try store.meetConflict(client, writer: writer)
    try store.meetConflict(second, writer: writer)
    let turn = try #require(store.start(client))
    #expect(store.start(second) == nil)
    store.send(.write, "/hot|last", from: writer)
    #expect(store.ask(.transactionEnd, "T|", in: turn, from: client) == "OK")
    let next = try #require(store.replies(second).first.flatMap { UInt32($0) })
    #expect(store.replies(writer).isEmpty)
    #expect(store.ask(.transactionEnd, "F|", in: next, from: second) == "OK")
    #expect(store.replies(writer) == ["OK"])
  }

  @Test func aTurnRunsOutAndItsHolderMayNotHaveAnotherAtOnce() throws {
    try store.meetConflict(client, writer: writer)
    let turn = try #require(store.start(client))
    #expect(store.ask(.read, "/hot|", in: turn, from: client) == "x")
    store.send(.write, "/hot|late", from: writer)
    let deadline = try #require(store.core.nextDeadline)
    store.pass(nanoseconds: deadline - store.now - 1)
    #expect(store.replies(writer).isEmpty)
    store.pass(nanoseconds: 1)
    #expect(store.replies(writer) == ["OK"])
    #expect(store.ask(.read, "/hot|", in: turn, from: client) == "x")
    #expect(store.ask(.transactionEnd, "T|", in: turn, from: client) == "EAGAIN")

    _ = try #require(store.start(client))
    #expect(store.ask(.write, "/hot|free", from: writer) == "OK")
    store.pass(nanoseconds: CommitReservations.barNanoseconds)
    try store.meetConflict(client, writer: writer)
    _ = try #require(store.start(client))
    #expect(store.ask(.write, "/hot|held", from: writer) == nil)
  }

  @Test(arguments: ["disconnect", "reset"])
  func whateverEndsATurnLetsOthersGoOn(how: String) throws {
    try store.meetConflict(client, writer: writer)
    _ = try #require(store.start(client))
    store.send(.write, "/hot|late", from: writer)
    #expect(store.replies(writer).isEmpty)
    if how == "disconnect" { store.core.disconnect(client) } else { store.send(.resetWatches, "", from: client) }
    #expect(store.replies(writer) == ["OK"])
    #expect(store.core.nextDeadline == nil)
  }

  @Test func aGuestKeepsNobodyFromWhatItMayNotChange() throws {
    let guest = store.connect(5)
    _ = store.ask(.setPermissions, "/hot|n0|r5|", from: writer)
    try store.meetConflict(guest, writer: writer)
    _ = try #require(store.start(guest))
    #expect(store.ask(.write, "/hot|free", from: writer) == "OK")
  }

  @Test func withoutAClockNobodyWaits() throws {
    let core = XenStoreCore()
    let client = core.connect(domain: .control, privileged: true)
    core.receive(XenStorePacket(.transactionStart, payload: [0]).encoded, from: client)
    #expect(core.nextDeadline == nil)
    #expect(core.reservations.isEmpty)
  }

  /// Many clients change one node in transactions while one writes it all the time. Each commits in time, nobody is forgotten, and each
  /// gets its replies in order.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func nobodyStarves(seed: UInt64) throws {
    enum Step { case start, read(UInt32), write(UInt32), end(UInt32) }
    var random = SeededGenerator(seed: seed)
    let clients = (0..<12).map { _ in store.connect() }
    var steps = clients.map { _ in Step.start }
    var waiting = clients.map { _ in false }
    var attempts = clients.map { _ in 0 }
    var commits = clients.map { _ in 0 }
    var writerWaits = false

    for _ in 0..<20_000 {
      store.pass(nanoseconds: 1000)
      if !writerWaits {
        store.send(.write, "/hot|\(store.now)", from: writer)
        writerWaits = true
      }
      if !store.replies(writer).isEmpty { writerWaits = false }
      let index = Int.random(in: clients.indices, using: &random)
      let id = clients[index]
      if !waiting[index] {
        switch steps[index] {
        case .start: store.send(.transactionStart, "|", from: id)
        case .read(let transaction): store.send(.read, "/hot|", in: transaction, from: id)
        case .write(let transaction): store.send(.write, "/hot|\(index)", in: transaction, from: id)
        case .end(let transaction): store.send(.transactionEnd, "T|", in: transaction, from: id)
        }
        waiting[index] = true
      }
      guard let reply = store.replies(id).first else { continue }
      waiting[index] = false
      switch steps[index] {
      case .start: steps[index] = .read(try #require(UInt32(reply), "seed \(seed)"))
      case .read(let transaction): steps[index] = .write(transaction)
      case .write(let transaction): steps[index] = .end(transaction)
      case .end:
        steps[index] = .start
        attempts[index] = reply == "EAGAIN" ? attempts[index] + 1 : 0
        if reply == "OK" { commits[index] += 1 }
        // One conflict to get a turn; a turn may run out of time while others are served.
        #expect(attempts[index] <= 12, "seed \(seed): client \(index) starves")
      }
    }
    #expect(commits.allSatisfy { $0 > 5 }, "seed \(seed): \(commits)")
    store.pass(nanoseconds: CommitReservations.limitNanoseconds)
    #expect(store.core.heldConnections.count < clients.count, "seed \(seed)")
  }
}
