import Testing
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreWire

/// What a client does that does not want to wait any longer.
@Suite(.timeLimit(.minutes(5))) struct PatienceTests {
  @Test func aCancelledRequestReturnsAtOnceAndItsReplyIsDropped() async throws {
    let store = try ScriptedStore()
    let reading = Task { try await store.client.read("/slow") }
    let request = await store.request()
    reading.cancel()
    await #expect(throws: XenStoreClientError.cancelled(.read, path: "/slow")) { try await reading.value }
    store.answer(request, "late")
    let next = Task { try await store.client.read("/next") }
    store.answer(await store.request(), "in time")
    #expect(try await next.value == "in time")
  }

  @Test func aTaskThatIsCancelledAlreadySendsNothing() async throws {
    let store = try ScriptedStore()
    let writing = Task {
      while !Task.isCancelled { await Task.yield() }
      try await store.client.write("/a", "1")
    }
    writing.cancel()
    await #expect(throws: XenStoreClientError.cancelled(.write, path: "/a")) { try await writing.value }
    let next = Task { try await store.client.read("/next") }
    let requests = await store.requests(1)
    #expect(requests.map(\.type) == [.read])
    next.cancel()
  }

  @Test func aWatchThatIsGivenUpIsWithdrawn() async throws {
    let store = try ScriptedStore()
    let watching = Task { try await store.client.watch("/a", token: "t") }
    _ = await store.request()
    watching.cancel()
    await #expect(throws: XenStoreClientError.cancelled(.watch, path: "/a")) { try await watching.value }
    let withdrawal = await store.request()
    #expect(withdrawal.type == .unwatch && withdrawal.payload == XenStorePayload.join(["/a", "t"]))
  }

  @Test func aTransactionWhoseBeginningIsGivenUpIsEnded() async throws {
    let store = try ScriptedStore()
    let beginning = Task { try await store.client.beginTransaction() }
    let request = await store.request()
    beginning.cancel()
    await #expect(throws: XenStoreClientError.cancelled(.transactionStart, path: "transaction")) { try await beginning.value }
    store.answer(request, "42\0")
    let end = await store.request()
    #expect(end.type == .transactionEnd && end.transactionID == 42 && end.payload == Array("F\0".utf8))
  }

  @Test func aTransactionIsDroppedWhenItsTaskIsCancelled() async throws {
    let store = try ScriptedStore()
    let running = Task {
      try await store.client.withTransaction { transaction throws(XenStoreClientError) in try await transaction.write("/a", "1") }
    }
    store.answer(await store.request(), "7\0")
    #expect(await store.request().type == .write)
    running.cancel()
    let end = await store.request()
    #expect(end.type == .transactionEnd && end.transactionID == 7 && end.payload == Array("F\0".utf8))
    store.answer(end)
    await #expect(throws: XenStoreClientError.cancelled(.write, path: "/a")) { try await running.value }
  }

  @Test func aStoreThatHangsIsNamedWithRequestPathAndLimit() async throws {
    let limit = Duration.milliseconds(20)
    let store = try ScriptedStore(XenStoreClient.Configuration(requestTimeLimit: limit))
    await #expect(throws: XenStoreClientError.timedOut(.read, path: "/slow", limit: limit)) { try await store.client.read("/slow") }
    #expect("\(XenStoreClientError.timedOut(.read, path: "/slow", limit: limit))" == "store: read /slow: no reply within 0.02 seconds")
    let late = await store.request()
    // The next alarm is set after the first has gone off.
    await #expect(throws: XenStoreClientError.timedOut(.write, path: "/a", limit: limit)) { try await store.client.write("/a", "1") }
    store.answer(late, "late")
    var batch = XenStoreBatch()
    let first = batch.read("/b")
    let replies = await store.client.perform(batch)
    #expect(throws: XenStoreClientError.timedOut(.read, path: "/b", limit: limit)) { try replies[first] }
  }

  @Test func aStoreThatHangsIsNotSentMoreAndMore() async throws {
    let store = try ScriptedStore(XenStoreClient.Configuration(requestTimeLimit: .milliseconds(20)))
    var batch = XenStoreBatch()
    for number in 0..<1024 { _ = batch.read("/\(number)") }
    let replies = await store.client.perform(batch)
    #expect(throws: XenStoreClientError.timedOut(.read, path: "/0", limit: .milliseconds(20))) { try replies.check() }
    await #expect(throws: XenStoreClientError.notConnected(.read, path: "/a", limit: .zero)) { try await store.client.read("/a") }
    // When it answers, even late, it is asked again.
    store.answer(await store.requests(1024)[0], "late")
    await #expect(throws: XenStoreClientError.timedOut(.read, path: "/a", limit: .milliseconds(20))) { try await store.client.read("/a") }
  }

  @Test func theFirstRetryDoesNotWaitAndLaterOnesWaitLongerUpToALimit() {
    let backOff = XenStoreBackOff(first: .milliseconds(1), longest: .milliseconds(50))
    #expect((1...9).map { backOff.bound(beforeRetry: $0) } == [0, 1, 2, 4, 8, 16, 32, 50, 50].map { .milliseconds($0) })
    #expect(backOff.bound(beforeRetry: .max) == .milliseconds(50))
  }

  @Test(arguments: Connection.allCases)
  func aTransactionThatMeetsForTooLongGivesUp(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      try await store.write("/a", "0")
      // No time at all: the first retry is not made.
      await #expect(throws: XenStoreClientError.contended(attempts: 1)) {
        try await store.withTransaction(backOff: XenStoreBackOff(total: .zero)) { transaction throws(XenStoreClientError) in
          try await transaction.write("/a", "mine")
          try await store.write("/a", "other")
        }
      }
    }
  }
}
