import Testing
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreWire

@Suite(.timeLimit(.minutes(5))) struct PipeliningTests {
  @Test func aBatchIsSentWholeBeforeTheFirstReply() async throws {
    let store = try ScriptedStore()
    var batch = XenStoreBatch()
    let values = (0..<100).map { batch.read("/n/\($0)") }
    let outcome = Task { [batch] in await store.client.perform(batch) }
    let requests = await store.requests(100)
    #expect(requests.map { String(decoding: $0.payload, as: UTF8.self) } == (0..<100).map { "/n/\($0)\0" })
    // Replies may come in any order.
    for (index, request) in requests.enumerated().reversed() { store.answer(request, "\(index)") }
    let replies = await outcome.value
    for (index, value) in values.enumerated() { #expect(try replies[value] == "\(index)") }
  }

  @Test func tasksOfAGroupAllSendBeforeTheFirstReply() async throws {
    let store = try ScriptedStore()
    let client = store.client
    let sum = Task {
      try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<50 { group.addTask { Int(try await client.read("/n/\(number)")) ?? 0 } }
        return try await group.reduce(0, +)
      }
    }
    for request in await store.requests(50) { store.answer(request, "2") }
    #expect(try await sum.value == 100)
  }

  @Test(arguments: Connection.allCases)
  func aRefusedRequestOfABatchKeepsBackNoOther(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      var batch = XenStoreBatch()
      let written = batch.write("/a/value", bytes: [0, 1, 0xFF])
      let missing = batch.read("/missing")
      let malformed = batch.read("/a\0b")
      let large = batch.write("/a/large", bytes: [UInt8](repeating: 0, count: 5000))
      let value = batch.readBytes("/a/value")
      batch.setPermissions("/a", [XenStorePermission(.control, .none), XenStorePermission(DomainID(rawValue: 5), .read)])
      batch.makeDirectory("/a/empty")
      let names = batch.directory("/a")
      let permissions = batch.permissions("/a")
      batch.remove("/a/value")
      let replies = await store.perform(batch)
      try replies[written]
      #expect(throws: XenStoreClientError.refused(.read, path: "/missing", .noEntry)) { try replies[missing] }
      #expect(throws: XenStoreClientError.unsendable(.read, path: "/a\0b")) { try replies[malformed] }
      #expect(throws: XenStoreClientError.unsendable(.write, path: "/a/large")) { try replies[large] }
      #expect(throws: XenStoreClientError.refused(.read, path: "/missing", .noEntry)) { try replies.check() }
      #expect(try replies[value] == [0, 1, 0xFF])
      #expect(try replies[names] == ["empty", "value"])
      #expect(try replies[permissions].map(\.description) == ["n0", "r5"])
      #expect(try await store.directory("/a") == ["empty"])
      try await store.perform(XenStoreBatch()).check()
    }
  }

  @Test(arguments: Connection.allCases)
  func aBatchInATransactionIsAllOrNothing(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      var batch = XenStoreBatch()
      for number in 0..<20 { batch.write("/t/\(number)", "\(number)") }
      await #expect(throws: XenStoreClientError.refused(.read, path: "/missing", .noEntry)) {
        try await store.withTransaction { [batch] transaction throws(XenStoreClientError) in
          try await transaction.perform(batch).check()
          _ = try await transaction.read("/missing")
        }
      }
      #expect(try await !store.exists("/t"))
      try await store.withTransaction { [batch] transaction throws(XenStoreClientError) in
        try await transaction.perform(batch).check()
      }
      #expect(try await store.directory("/t").count == 20)
    }
  }

  @Test func aBatchThatIsCancelledEndsWithWhatHasCome() async throws {
    let store = try ScriptedStore()
    var batch = XenStoreBatch()
    let first = batch.read("/first")
    let second = batch.read("/second")
    let outcome = Task { [batch] in await store.client.perform(batch) }
    let requests = await store.requests(2)
    store.answer(requests[0], "1")
    outcome.cancel()
    let replies = await outcome.value
    #expect(try replies[first] == "1")
    #expect(throws: XenStoreClientError.cancelled(.read, path: "/second")) { try replies[second] }
    store.answer(requests[1], "late")
    let third = Task { try await store.client.read("/third") }
    store.answer(await store.request(), "3")
    #expect(try await third.value == "3")
  }

  @Test(arguments: Connection.allCases)
  func checkedPathsAndDescribedKeysAreAcceptedBesideText(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      let directory = try XenStorePath("/local/domain/0/backend/vbd/5/51712")
      try await store.write(directory, "")
      let key = BlkifKeys.Backend.sectorCount
      try await store.write(key, 2048, in: directory)
      #expect(try await store.read(key, in: directory) == 2048)
      #expect(try await store.read(key, in: "backend/vbd/5/51712") == 2048)
      #expect(try await store.read(try directory.appending(key.name)) == "2048")
      try await store.write(try directory.appending(key.name), "many")
      await #expect(throws: XenStoreClientError.unexpectedValue(
        path: "\(directory)/\(key.name)", StoreKeyError(key: key.name, value: "many", expected: key.expectation))) {
          try await store.read(key, in: directory)
        }
    }
  }
}
