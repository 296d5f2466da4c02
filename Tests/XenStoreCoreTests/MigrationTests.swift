import TestSupport
import Testing
import XenInterface
import XenStoreCore
import XenStoreMigration
import XenStoreWire

/// A core with clients, which can be exported and imported at any point without its clients noticing.
private final class MigratingStore {
  var core: XenStoreCore
  /// In the order in which they were opened; nil for one that was closed.
  var clients: [XenStoreConnectionID?] = []

  init(core: XenStoreCore = XenStoreCore()) { self.core = core }

  func connect(_ domain: DomainID) { clients.append(core.connect(domain: domain, privileged: domain == .control)) }

  func disconnect(_ client: Int) {
    core.disconnect(clients[client]!)
    clients[client] = nil
  }

  func send(_ bytes: [UInt8], from client: Int) { core.receive(bytes, from: clients[client]!) }
  func next(_ client: Int) -> [UInt8]? { core.nextOutput(for: clients[client]!) }

  var exported: [UInt8] {
    var stream = MigrationStreamWriter()
    var links: [XenStoreConnectionID: XenStoreMigratedLink] = [:]
    for (index, client) in clients.enumerated() {
      if let client { links[client] = XenStoreMigratedLink(kind: .socket(descriptor: Int32(index)), listenerPath: "/listener \(index)") }
    }
    core.export(to: &stream, links: links)
    return stream.finish()
  }

  /// A store made of a stream; clients are found again by their descriptors, as sockets are.
  convenience init(importing bytes: [UInt8], clientCount: Int) throws {
    let imported = try importStore(bytes)
    self.init(core: imported.core)
    if let audit = imported.core.audit { imported.core.startAudit(audit) { 7 } }
    clients = [XenStoreConnectionID?](repeating: nil, count: clientCount)
    for connection in imported.connections {
      guard case .socket(let descriptor) = connection.link.kind else { continue }
      clients[Int(descriptor)] = connection.id
      #expect(connection.link.listenerPath == "/listener \(descriptor)")
    }
  }
}

private func importStore(_ bytes: [UInt8]) throws(MigrationFault) -> (core: XenStoreCore, connections: [XenStoreImport.Connection]) {
  var stream = try MigrationStreamReader(bytes)
  var store = XenStoreImport()
  while let record = try stream.next() {
    guard try store.take(record) else { throw record.unknown }
  }
  return try store.finish()
}

@Suite struct MigrationTests {
  /// Sends one request and gives back everything that its client gets.
  private func ask(
    _ store: MigratingStore, _ client: Int, _ type: XenStoreMessageType, _ payload: String, in transaction: UInt32 = 0
  ) -> [String] {
    store.send(XenStorePacket(type, transactionID: transaction, payload: StoreScript.bytes(payload)).encoded, from: client)
    return takeAll(store, client)
  }

  private func takeAll(_ store: MigratingStore, _ client: Int) -> [String] {
    var lines: [String] = []
    while let bytes = store.next(client) { lines.append(StoreScript.text(Array(bytes.dropFirst(16)))) }
    return lines
  }

  private func migrated(_ store: MigratingStore) throws -> MigratingStore {
    let bytes = store.exported
    let result = try MigratingStore(importing: bytes, clientCount: store.clients.count)
    #expect(result.exported == bytes, "export, import, export is not the same")
    return result
  }

  private func transaction(_ store: MigratingStore, _ client: Int) throws -> UInt32 {
    try #require(UInt32(ask(store, client, .transactionStart, "|")[0].dropLast()))
  }

  @Test func anEmptyStoreGoesThereAndBack() throws { _ = try migrated(MigratingStore()) }

  @Test func nodesKeepTheirValuesPermissionsAndGenerations() throws {
    var store = MigratingStore()
    store.connect(.control)
    for step in 0..<300 { _ = ask(store, 0, .write, "/list/\(step)-\(String(repeating: "x", count: 10))|value \(step)") }
    _ = ask(store, 0, .setPermissions, "/list/7-xxxxxxxxxx|n3|r4|")
    let before = ask(store, 0, .directoryPart, "/list|0|")
    store = try migrated(store)
    #expect(ask(store, 0, .directoryPart, "/list|0|") == before)
    #expect(ask(store, 0, .getPermissions, "/list/7-xxxxxxxxxx|") == ["n3|r4|"])
    #expect(ask(store, 0, .read, "/list/299-xxxxxxxxxx|") == ["value 299"])
  }

  @Test func domainsTargetsAndSpecialPermissionsAreKept() throws {
    var store = MigratingStore()
    store.connect(.control)
    store.core.introduce(DomainID(rawValue: 5))
    store.core.introduce(DomainID(rawValue: 6))
    _ = ask(store, 0, .setTarget, "5|6|")
    _ = ask(store, 0, .setPermissions, "@releaseDomain|n0|r5|")
    store = try migrated(store)
    #expect(ask(store, 0, .isDomainIntroduced, "5|") == ["T|"])
    #expect(ask(store, 0, .isDomainIntroduced, "7|") == ["F|"])
    #expect(ask(store, 0, .getPermissions, "@releaseDomain|") == ["n0|r5|"])
    store.connect(DomainID(rawValue: 5))
    _ = ask(store, 0, .write, "/six|secret")
    _ = ask(store, 0, .setPermissions, "/six|n6|")
    #expect(ask(store, 1, .read, "/six|") == ["secret"])
  }

  @Test func quotasWhatTheyRefusedAndTheAuditAreKept() throws {
    var store = MigratingStore()
    store.core.startAudit { 7 }
    store.connect(.control)
    store.connect(DomainID(rawValue: 5))
    _ = ask(store, 0, .setQuota, "5|watches|1|")
    _ = ask(store, 0, .setQuota, "nodes|77|")
    _ = ask(store, 0, .setFeature, "9|1|")
    _ = ask(store, 0, .write, "/five|")
    _ = ask(store, 0, .setPermissions, "/five|n5|")
    for path in ["/a", "/b"] { _ = ask(store, 1, .watch, "\(path)|t|") }
    let id = try transaction(store, 1)
    _ = ask(store, 1, .write, "/five/x|1", in: id)
    let questions = ["quota|", "quota|5|", "quota|max|", "quota|refusals|", "audit|", "memreport|"]
    let before = questions.map { ask(store, 0, .control, $0) }
    store = try migrated(store)
    #expect(questions.map { ask(store, 0, .control, $0) } == before)
    #expect(ask(store, 0, .control, "check|") == ["OK|"])
    #expect(ask(store, 0, .getFeature, "9|") == ["1|"])
    #expect(ask(store, 1, .watch, "/b|t|") == ["ENOSPC|"])
    #expect(ask(store, 1, .transactionEnd, "T|", in: id) == ["OK|"])
    #expect(ask(store, 0, .control, "check|") == ["OK|"])
    #expect(ask(store, 0, .control, "audit|")[0].contains(" 5 - write /five/x"))
  }

  @Test func aTransactionThatWentOverDoesNotBringAReleasedDomainBack() throws {
    var store = MigratingStore()
    store.connect(.control)
    store.core.introduce(DomainID(rawValue: 5))
    _ = ask(store, 0, .write, "/a|")
    let id = try transaction(store, 0)
    #expect(ask(store, 0, .setPermissions, "/a|n5|", in: id) == ["OK|"])
    store = try migrated(store)
    store.core.release(DomainID(rawValue: 5))
    #expect(ask(store, 0, .transactionEnd, "T|", in: id) == ["EAGAIN|"])
  }

  @Test func aWatchsDepthIsKept() throws {
    var store = MigratingStore()
    store.connect(.control)
    _ = ask(store, 0, .watch, "/a|t|1|")
    store = try migrated(store)
    #expect(ask(store, 0, .write, "/a/b|1") == ["/a/b|t|", "OK|"])
    #expect(ask(store, 0, .write, "/a/b/c|1") == ["OK|"])
  }

  @Test func aWatchFiresAfterwardsAndIsStillTheSameOne() throws {
    var store = MigratingStore()
    store.connect(.control)
    store.connect(DomainID(rawValue: 5))
    _ = ask(store, 0, .write, "/local/domain/5/data|")
    _ = ask(store, 0, .setPermissions, "/local/domain/5/data|n5|")
    _ = ask(store, 1, .watch, "data|token|")
    store = try migrated(store)
    _ = ask(store, 0, .write, "/local/domain/5/data/x|1")
    #expect(takeAll(store, 1) == ["data/x|token|"])
    #expect(ask(store, 1, .watch, "data|token|") == ["EEXIST|"])
    #expect(ask(store, 1, .unwatch, "data|token|") == ["OK|"])
  }

  @Test func halfARequestIsCompleted() throws {
    let request = XenStorePacket(.write, requestID: 9, payload: StoreScript.bytes("/half|whole")).encoded
    for byteCount in 1..<request.count {
      var store = MigratingStore()
      store.connect(.control)
      store.send(Array(request[..<byteCount]), from: 0)
      store = try migrated(store)
      #expect(store.next(0) == nil)
      store.send(Array(request[byteCount...]), from: 0)
      #expect(takeAll(store, 0) == ["OK|"], "cut at \(byteCount)")
      #expect(ask(store, 0, .read, "/half|") == ["whole"])
    }
  }

  @Test func unreadRepliesAndEventsAreKeptInOrderAndEventsStillOnce() throws {
    var store = MigratingStore()
    store.connect(.control)
    store.send(XenStorePacket(.watch, strings: ["/a", "t"]).encoded, from: 0)
    for value in ["1", "2"] { store.send(XenStorePacket(.write, payload: StoreScript.bytes("/a|\(value)")).encoded, from: 0) }
    store = try migrated(store)
    #expect(store.core.takeReadyConnections() == [store.clients[0]!])
    store.send(XenStorePacket(.write, payload: StoreScript.bytes("/a|3")).encoded, from: 0)
    #expect(takeAll(store, 0) == ["OK|", "/a|t|", "OK|", "OK|", "OK|"])
  }

  @Test func requestsThatWaitForTheirClientToReadWaitOn() throws {
    var store = MigratingStore()
    store.connect(.control)
    for _ in 0..<50 { store.send(XenStorePacket(.isDomainIntroduced, strings: ["0"]).encoded, from: 0) }
    #expect(store.core.isHeldBack(store.clients[0]!))
    store = try migrated(store)
    #expect(store.core.isHeldBack(store.clients[0]!))
    #expect(takeAll(store, 0).count == 50)
  }

  @Test func aRequestThatWaitsForAnothersTurnIsNotLost() throws {
    var store = MigratingStore()
    for _ in 0..<2 { store.connect(.control) }
    store.core.advance(to: 1)
    _ = ask(store, 0, .write, "/a|old")
    for attempt in 0..<2 {
      let id = try transaction(store, 0)
      _ = ask(store, 0, .write, "/a|mine", in: id)
      // The first time the other one is faster, the second time it has to wait.
      #expect(ask(store, 1, .write, "/a|others") == (attempt == 0 ? ["OK|"] : []))
      if attempt == 0 { #expect(ask(store, 0, .transactionEnd, "T|", in: id) == ["EAGAIN|"]) }
    }
    let bytes = store.exported
    store = try MigratingStore(importing: bytes, clientCount: 2)
    store.send([], from: 1)
    #expect(takeAll(store, 1) == ["OK|"])
    #expect(ask(store, 1, .read, "/a|") == ["others"])
  }

  @Test func inputBeyondTheRecordsCountIsKept() throws {
    var store = MigratingStore()
    store.connect(.control)
    let requests = [UInt8]((0..<40).map { XenStorePacket(.write, payload: StoreScript.bytes("/a|") + [UInt8](repeating: $0, count: 4000)).encoded }.joined())
    store.send(requests, from: 0)
    store = try migrated(store)
    #expect(takeAll(store, 0) == [String](repeating: "OK|", count: 40))
  }

  @Test func aTransactionSeesItsSnapshotAndCommits() throws {
    var store = MigratingStore()
    store.connect(.control)
    store.connect(.control)
    for path in ["/a/b/c", "/a/d", "/e"] { _ = ask(store, 0, .write, "\(path)|old") }
    let id = try transaction(store, 0)
    _ = ask(store, 0, .write, "/mine/new|1", in: id)
    _ = ask(store, 0, .remove, "/a/d|", in: id)
    // What others do meanwhile is not seen inside, whether it was looked at before the update or not.
    _ = ask(store, 1, .write, "/e|new")
    _ = ask(store, 1, .remove, "/a/b|")
    _ = ask(store, 1, .write, "/other|1")
    store = try migrated(store)
    #expect(ask(store, 0, .read, "/mine/new|", in: id) == ["1"])
    #expect(ask(store, 0, .read, "/a/d|", in: id) == ["ENOENT|"])
    #expect(ask(store, 0, .directory, "/a|", in: id) == ["b|"])
    #expect(ask(store, 0, .read, "/other|", in: id) == ["ENOENT|"])
    #expect(ask(store, 1, .directory, "/|") == ["a|e|other|"])
    #expect(ask(store, 1, .read, "/mine/new|") == ["ENOENT|"])
    _ = ask(store, 0, .transactionEnd, "F|", in: id)
  }

  @Test(arguments: [false, true])
  func aConflictIsFoundWhetherTheOtherChangeCameBeforeTheUpdateOrAfter(after: Bool) throws {
    for isConflict in [false, true] {
      var store = MigratingStore()
      store.connect(.control)
      store.connect(.control)
      _ = ask(store, 0, .write, "/a/x|old")
      _ = ask(store, 0, .write, "/b/x|old")
      let id = try transaction(store, 0)
      _ = ask(store, 0, .read, "/a/x|", in: id)
      _ = ask(store, 0, .write, "/a/y|mine", in: id)
      let others = isConflict ? "/a/x|others" : "/b/x|others"
      if !after { _ = ask(store, 1, .write, others) }
      store = try migrated(store)
      if after { _ = ask(store, 1, .write, others) }
      #expect(ask(store, 0, .transactionEnd, "T|", in: id) == [isConflict ? "EAGAIN|" : "OK|"])
      #expect(ask(store, 0, .read, "/a/y|") == [isConflict ? "ENOENT|" : "mine"])
      #expect(ask(store, 1, .read, "/b/x|") == [isConflict ? "old" : "others"])
    }
  }

  @Test func aDeepTreeGoesOver() throws {
    var store = MigratingStore()
    store.connect(.control)
    let path = String(repeating: "/a", count: 1024)
    _ = ask(store, 0, .write, "\(path)|deep")
    let id = try transaction(store, 0)
    _ = ask(store, 0, .remove, "/a|", in: id)
    store = try migrated(store)
    #expect(ask(store, 0, .read, "\(path)|") == ["deep"])
    #expect(ask(store, 0, .transactionEnd, "T|", in: id) == ["OK|"])
    #expect(ask(store, 0, .directory, "/|") == [""])
  }

  @Test func aStreamOfAnotherDaemonIsUnderstoodAsFarAsItGoes() throws {
    var stream = MigrationStreamWriter()
    let owner = [XenStorePermission(.control, .none)]
    MigrationGlobal(socket: 3).append(to: &stream)
    MigrationNode(path: Array("/".utf8), value: [], permissions: owner).append(to: &stream)
    MigrationNode(path: Array("/a".utf8), value: [65], permissions: owner).append(to: &stream)
    MigrationConnection(id: 9, kind: .socket(descriptor: 4)).append(to: &stream)
    MigrationConnection(id: 4, kind: .ring(domain: DomainID(rawValue: 5), target: nil, port: 3)).append(to: &stream)
    MigrationWatch(connection: 9, path: Array("/a".utf8), token: Array("t".utf8)).append(to: &stream)
    MigrationTransaction(connection: 9, transaction: 77).append(to: &stream)
    MigrationNode(path: Array("/a".utf8), value: [66], permissions: owner, connection: 9, transaction: 77, access: [.read, .written])
      .append(to: &stream)

    var reader = try MigrationStreamReader(stream.finish())
    var store = XenStoreImport()
    while let record = try reader.next() { #expect(try store.take(record) || record.type == .global) }
    let imported = try store.finish()
    #expect(imported.connections.map(\.domain) == [.control, DomainID(rawValue: 5)])
    #expect(imported.connections.map(\.isPrivileged) == [true, false])
    let socket = MigratingStore(core: imported.core)
    socket.clients = imported.connections.map(\.id)
    #expect(ask(socket, 0, .read, "/a|", in: 77) == ["B"])
    #expect(ask(socket, 0, .read, "/a|") == ["A"])
    // What the transaction began with is not known: its client has to try again.
    #expect(ask(socket, 0, .transactionEnd, "T|", in: 77) == ["EAGAIN|"])
    #expect(ask(socket, 0, .write, "/a|C") == ["/a|t|", "OK|"])
    #expect(ask(socket, 1, .read, "/a|") == ["EACCES|"])
  }

  @Test func aDamagedByteIsAFaultOrAnotherStoreButNeverATrap() throws {
    let store = MigratingStore()
    store.connect(.control)
    store.connect(DomainID(rawValue: 5))
    _ = ask(store, 0, .watch, "/a|t|")
    let id = try transaction(store, 0)
    _ = ask(store, 0, .write, "/a/b|1", in: id)
    _ = ask(store, 0, .write, "/c|1")
    store.send([1, 2, 3], from: 1)
    let bytes = store.exported
    for index in bytes.indices {
      for value in [0, 0x2F, 0xFF] as [UInt8] where bytes[index] != value {
        var damaged = bytes
        damaged[index] = value
        guard let imported = try? importStore(damaged) else { continue }
        // Whatever it is, it can be used.
        for connection in imported.connections {
          imported.core.handle(XenStorePacket(.directory, strings: ["/"]), from: connection.id)
          while imported.core.nextOutput(for: connection.id) != nil {}
          imported.core.disconnect(connection.id)
        }
      }
    }
  }

  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func clientsCannotTellAStoreThatWasUpdatedFromOneThatWasNot(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let plain = MigratingStore()
    var updated = MigratingStore()
    var open: [[UInt32]] = []
    for store in [plain, updated] { store.core.startAudit { 7 } }
    func connect(_ domain: DomainID) {
      plain.connect(domain)
      updated.connect(domain)
      open.append([])
    }
    for domain in [0, 0, 5, 6] as [UInt16] { connect(DomainID(rawValue: domain)) }
    func randomPath() -> String {
      let names = (0..<Int.random(in: 0...4, using: &random)).map { _ in ["a", "b", "local", "domain", "5"].randomElement(using: &random)! }
      return (Int.random(in: 0..<4, using: &random) == 0 && !names.isEmpty ? "" : "/") + names.joined(separator: "/")
    }
    func randomRequest(_ client: Int) -> XenStorePacket {
      let id = Bool.random(using: &random) ? open[client].randomElement(using: &random) ?? 0 : 0
      let path = randomPath()
      switch Int.random(in: 0..<20, using: &random) {
      case 0: return XenStorePacket(.watch, strings: [path, ["t", "u"].randomElement(using: &random)!])
      case 1: return XenStorePacket(.unwatch, strings: [path, "t"])
      case 2: return XenStorePacket(.transactionStart, payload: [0])
      case 3, 4:
        open[client].removeAll { $0 == id }
        return XenStorePacket(.transactionEnd, transactionID: id, strings: [["T", "T", "F"].randomElement(using: &random)!])
      case 5, 6, 7: return XenStorePacket(.remove, transactionID: id, strings: [path])
      case 8: return XenStorePacket(.directory, transactionID: id, strings: [path])
      case 9: return XenStorePacket(.directoryPart, transactionID: id, strings: [path, "0"])
      case 10, 11: return XenStorePacket(.read, transactionID: id, strings: [path])
      case 12: return XenStorePacket(.getPermissions, transactionID: id, strings: [path])
      case 13: return XenStorePacket(.setPermissions, transactionID: id, strings: [path, ["n5", "b0"].randomElement(using: &random)!, "r6"])
      case 14: return XenStorePacket(.makeDirectory, transactionID: id, strings: [path])
      case 15 where Int.random(in: 0..<4, using: &random) == 0: return XenStorePacket(.resetWatches, payload: [0])
      default:
        let value = String(Int.random(in: 0..<1000, using: &random))
        return XenStorePacket(.write, transactionID: id, payload: StoreScript.bytes("\(path)|\(value)"))
      }
    }

    var partial = [[UInt8]](repeating: [], count: 4)
    for step in 0..<1500 {
      let context = "seed \(seed), step \(step)"
      let client = Int.random(in: 0..<4, using: &random)
      // Requests come in pieces, and not every output is taken at once.
      if partial[client].isEmpty { partial[client] = randomRequest(client).encoded }
      let byteCount = Bool.random(using: &random) ? partial[client].count : Int.random(in: 1...partial[client].count, using: &random)
      for store in [plain, updated] { store.send(Array(partial[client].prefix(byteCount)), from: client) }
      partial[client].removeFirst(byteCount)

      for reader in 0..<4 where Int.random(in: 0..<3, using: &random) > 0 {
        while Int.random(in: 0..<10, using: &random) > 0 {
          let bytes = plain.next(reader)
          #expect(updated.next(reader) == bytes, "\(context), client \(reader)")
          guard let bytes else { break }
          if bytes[0] == UInt8(XenStoreMessageType.transactionStart.rawValue) {
            open[reader].append(try #require(UInt32(StoreScript.text(Array(bytes.dropFirst(16))).dropLast())))
          }
        }
      }
      if Int.random(in: 0..<25, using: &random) == 0 { updated = try migrated(updated) }
      if Int.random(in: 0..<200, using: &random) == 0 {
        for store in [plain, updated] { store.core.release(DomainID(rawValue: 7)) }
      }
    }
    for reader in 0..<4 {
      while let bytes = plain.next(reader) { #expect(updated.next(reader) == bytes, "seed \(seed), the rest of client \(reader)") }
      #expect(updated.next(reader) == nil, "seed \(seed), the rest of client \(reader)")
    }
    #expect(updated.exported == plain.exported, "seed \(seed)")
  }
}
