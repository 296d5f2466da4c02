import TestSupport
import Testing
import XenInterface
import XenStoreCore
import XenStoreWire

/// A store whose commits are kept by the test.
private final class KeptStore {
  let core = XenStoreCore()
  private(set) var commits: [XenStoreCommit] = []

  init() { core.keepCommits { [unowned self] in commits.append($0) } }

  func connect(_ domain: UInt16 = 0) -> XenStoreConnectionID {
    core.connect(domain: DomainID(rawValue: domain), privileged: domain == 0)
  }

  /// Makes everything so far durable.
  func sync() { core.commitsAreDurable(upTo: core.lastCommitSequence) }

  func send(_ type: XenStoreMessageType, _ strings: [String], in transaction: UInt32 = 0, from id: XenStoreConnectionID) {
    core.handle(XenStorePacket(type, requestID: 1, transactionID: transaction, strings: strings), from: id)
  }

  func write(_ path: String, _ value: String, in transaction: UInt32 = 0, from id: XenStoreConnectionID) {
    core.handle(
      XenStorePacket(.write, requestID: 1, transactionID: transaction, payload: Array(path.utf8) + [0] + Array(value.utf8)), from: id)
  }

  /// Takes the types of all packets that may leave now.
  func output(_ id: XenStoreConnectionID) -> [XenStoreMessageType?] {
    var types: [XenStoreMessageType?] = []
    var parser = XenStorePacketParser()
    while let bytes = core.nextOutput(for: id) {
      parser.feed(bytes[...])
      while case .packet(let packet) = parser.next() { types.append(packet.type) }
    }
    return types
  }

  func startTransaction(from id: XenStoreConnectionID) -> UInt32 {
    send(.transactionStart, [""], from: id)
    sync()
    var parser = XenStorePacketParser()
    while let bytes = core.nextOutput(for: id) { parser.feed(bytes[...]) }
    var number: UInt32?
    while case .packet(let packet) = parser.next() {
      number = XenStorePayload.onlyString(packet.payload).flatMap { XenStorePayload.number($0, as: UInt32.self) }
    }
    return number ?? 0
  }
}

/// The whole store as changes, which say everything of it that outlives a process.
private func contents(_ core: XenStoreCore) -> [XenStoreChange] {
  var changes: [XenStoreChange] = []
  core.image().forEachChange { changes.append($0) }
  return changes
}

@Suite struct CommitTests {
  @Test func aWriteIsOneCommitWithTheNodesThatItMade() throws {
    let store = KeptStore()
    let client = store.connect()
    store.write("/a/b", "1", from: client)
    store.write("/a/b", "2", from: client)
    let permissions = [XenStorePermission(.control, .none)]
    let a = try XenStorePath("/a")
    let b = try XenStorePath("/a/b")
    #expect(
      store.commits.map(\.changes) == [
        [.node(a, value: [], permissions: permissions), .node(b, value: [UInt8(ascii: "1")], permissions: permissions)],
        [.value(b, [UInt8(ascii: "2")])],
      ])
    #expect(store.commits.map(\.sequence) == [1, 2])
  }

  @Test func aRequestThatChangesNothingIsNoCommit() {
    let store = KeptStore()
    let client = store.connect()
    store.send(.read, ["/missing"], from: client)
    store.send(.makeDirectory, ["/"], from: client)
    store.write("relative//wrong", "", from: client)
    store.send(.watch, ["/a", "token"], from: client)
    #expect(store.commits.isEmpty)
  }

  @Test func aTransactionIsOneCommitAndAnAbortedOneIsNone() {
    let store = KeptStore()
    let client = store.connect()
    let committed = store.startTransaction(from: client)
    store.write("/a", "1", in: committed, from: client)
    store.write("/b", "1", in: committed, from: client)
    #expect(store.commits.isEmpty)
    store.send(.transactionEnd, ["T"], in: committed, from: client)
    #expect(store.commits.map(\.changes.count) == [2])
    let aborted = store.startTransaction(from: client)
    store.write("/c", "1", in: aborted, from: client)
    store.send(.transactionEnd, ["F"], in: aborted, from: client)
    #expect(store.commits.count == 1)
  }

  @Test func theReleaseOfADomainIsOneCommit() {
    let store = KeptStore()
    let client = store.connect()
    let domain = DomainID(rawValue: 7)
    store.core.introduce(domain)
    for name in ["x", "y"] {
      store.write("/\(name)", "", from: client)
      store.send(.setPermissions, ["/\(name)", "n7"], from: client)
    }
    let before = store.commits.count
    store.core.release(domain)
    #expect(store.commits.count == before + 1)
    #expect(store.commits.last?.changes.count == 3)
  }

  @Test func severalActionsCanBeOneCommit() {
    let store = KeptStore()
    let client = store.connect()
    store.core.asOneCommit {
      store.core.introduce(DomainID(rawValue: 3))
      store.write("/local/domain/3", "", from: client)
    }
    #expect(store.commits.count == 1)
  }

  @Test func aReplyStaysUntilItsCommitIsDurable() {
    let store = KeptStore()
    let client = store.connect()
    store.write("/a", "1", from: client)
    store.write("/b", "1", from: client)
    #expect(store.output(client).isEmpty)
    store.core.commitsAreDurable(upTo: 1)
    #expect(store.core.takeReadyConnections() == [client])
    #expect(store.output(client) == [.write])
    store.core.commitsAreDurable(upTo: 2)
    #expect(store.output(client) == [.write])
  }

  @Test func anEventStaysUntilItsCommitIsDurable() {
    let store = KeptStore()
    let writer = store.connect()
    let watcher = store.connect()
    store.send(.watch, ["/a", "token"], from: watcher)
    #expect(store.output(watcher) == [.watch, .watchEvent])
    store.write("/a", "1", from: writer)
    #expect(store.output(watcher).isEmpty)
    store.sync()
    #expect(store.output(watcher) == [.watchEvent])
  }

  @Test func aReadOfWhatIsNotDurableYetWaitsForIt() {
    let store = KeptStore()
    let writer = store.connect()
    let reader = store.connect()
    store.send(.read, ["/a"], from: reader)
    #expect(store.output(reader) == [.error])
    store.write("/a", "1", from: writer)
    store.send(.read, ["/a"], from: reader)
    #expect(store.output(reader).isEmpty)
    store.sync()
    #expect(store.core.takeReadyConnections().contains(reader))
    #expect(store.output(reader) == [.read])
  }

  @Test func whatATransactionSeesWaitsForNothingButItsEndDoes() {
    let store = KeptStore()
    let writer = store.connect()
    let reader = store.connect()
    store.write("/a", "1", from: writer)
    store.send(.transactionStart, [""], from: reader)
    #expect(store.output(reader) == [.transactionStart])
    let transaction = store.startTransaction(from: reader)
    store.send(.read, ["/a"], in: transaction, from: reader)
    #expect(store.output(reader) == [.read])
    store.write("/a", "2", from: writer)
    // Refused, because of a change that could still be lost: trying again shows whether it was.
    store.send(.transactionEnd, ["T"], in: transaction, from: reader)
    #expect(store.output(reader) == [.error])

    store.sync()
    let second = store.startTransaction(from: reader)
    store.write("/b", "1", from: writer)
    store.send(.read, ["/a"], in: second, from: reader)
    store.send(.transactionEnd, ["T"], in: second, from: reader)
    #expect(store.output(reader) == [.read])
    store.sync()
    #expect(store.output(reader) == [.transactionEnd])
  }

  @Test func withoutAListenerNothingIsKeptBack() {
    let core = XenStoreCore()
    let client = core.connect(domain: .control, privileged: true)
    core.handle(XenStorePacket(.write, payload: Array("/a".utf8) + [0]), from: client)
    #expect(core.nextOutput(for: client) != nil)
    #expect(core.lastCommitSequence == 0)
  }

  @Test func generationsGoOnAboveThoseOfARestoredStore() {
    let store = KeptStore()
    let client = store.connect()
    for _ in 0..<5 { store.write("/a", "1", from: client) }
    let last = store.commits.last!
    let restored = XenStoreCore()
    for commit in store.commits { for change in commit.changes { #expect(restored.restore(change)) } }
    restored.finishRestoring(sequence: last.sequence, generation: last.generation)
    #expect(restored.image().generation > last.generation)
    #expect(restored.image().sequence == last.sequence)
    #expect(contents(restored) == contents(store.core))
  }

  @Test func aChangeThatDoesNotFitIsNotRestored() throws {
    let core = XenStoreCore()
    let path = try XenStorePath("/a/b")
    #expect(!core.restore(.value(path, [])))
    #expect(!core.restore(.permissions(path, [XenStorePermission(.control, .none)])))
    #expect(!core.restore(.removal(path)))
    #expect(!core.restore(.removal(.root)))
    #expect(!core.restore(.node(path, value: [], permissions: [XenStorePermission(.control, .none)])))
    #expect(!core.restore(.node(.root, value: [], permissions: [])))
  }

  @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
  func whateverHappensTheCommitsMakeTheSameStore(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let store = KeptStore()
    let clients = [store.connect(), store.connect(), store.connect(7)]
    var transactions: [UInt32?] = [nil, nil, nil]
    let names = ["/a", "/a/b", "/a/b/c", "/d", "/d/e", "/local/domain/7", "/local/domain/7/x", "/local/domain/7/x/y", "/f/g/h/i"]
    store.core.introduce(DomainID(rawValue: 7))
    for step in 0..<400 {
      let which = Int.random(in: 0..<3, using: &generator)
      let client = clients[which]
      let path = names.randomElement(using: &generator)!
      let transaction = transactions[which] ?? 0
      switch Int.random(in: 0..<12, using: &generator) {
      case 0...3: store.write(path, "\(step)", in: transaction, from: client)
      case 4: store.send(.makeDirectory, [path], in: transaction, from: client)
      case 5, 6: store.send(.remove, [path], in: transaction, from: client)
      case 7: store.send(.setPermissions, [path, Bool.random(using: &generator) ? "n0" : "n7", "r3"], in: transaction, from: client)
      case 8: if transactions[which] == nil { transactions[which] = store.startTransaction(from: client) }
      case 9, 10:
        if transactions[which] != nil { store.send(.transactionEnd, [which == 1 ? "F" : "T"], in: transaction, from: client) }
        transactions[which] = nil
      default:
        store.core.introduce(DomainID(rawValue: 9))
        store.send(.setTarget, ["9", "7"], from: clients[0])
        if Bool.random(using: &generator) { store.core.release(DomainID(rawValue: 9)) }
        store.send(.setPermissions, ["@releaseDomain", "n0", "r9"], from: clients[0])
      }
      store.sync()
      for client in clients { _ = store.output(client) }
    }
    #expect(store.commits.count > 50)
    #expect(store.commits.map(\.sequence) == Array(1...UInt64(store.commits.count)))
    let restored = XenStoreCore()
    for commit in store.commits { for change in commit.changes { #expect(restored.restore(change), "seed \(seed): \(change)") } }
    #expect(contents(restored) == contents(store.core), "seed \(seed)")
    let copy = XenStoreCore()
    for change in contents(store.core) { #expect(copy.restore(change), "seed \(seed): \(change)") }
    #expect(contents(copy) == contents(store.core), "seed \(seed)")
  }
}
