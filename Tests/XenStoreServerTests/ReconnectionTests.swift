import Synchronization
import SystemPackage
import Testing
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreWire

@Suite(.timeLimit(.minutes(5))) struct ReconnectionTests {
  private static let patient = XenStoreClient.Configuration(reconnect: .backOff(limit: nil))

  @Test func aWatchGoesOnWithAStoreThatCameBack() async throws {
    let store = ComingAndGoingStore()
    let client = try store.makeClient(Self.patient)
    try await client.write("/a/x", "1")
    var events = try await client.watch("/a", token: "t").makeAsyncIterator()
    #expect(await events.next()?.path == "/a")
    for _ in 0..<3 {
      store.stop()
      store.start()
      // Look again: what was there is not there any more.
      #expect(await events.next() == XenStoreWatchEvent(path: "/a", token: "t"))
      #expect(try await !client.exists("/a/x"))
      try await client.write("/a/x", "2")
      #expect(await events.next()?.path == "/a/x")
    }
    #expect(store.connectionCount == 4)
  }

  @Test func whatWasInFlightFailsUnlessItOnlyReads() async throws {
    let store = try ScriptedStore(Self.patient)
    let client = store.client
    let writing = Task { try await client.write("/a", "1") }
    _ = await store.request()
    let reading = Task { try await client.read("/a") }
    _ = await store.request()
    store.cut()
    await #expect(throws: XenStoreClientError.connectionLost) { try await writing.value }
    let again = await store.requests(1)
    #expect(again.map(\.type) == [.read])
    store.answer(again[0], "value")
    #expect(try await reading.value == "value")
  }

  @Test func anOpenTransactionFailsAndACommitInFlightIsUnknown() async throws {
    let store = try ScriptedStore(Self.patient)
    let client = store.client
    let beginning = Task { [try await client.beginTransaction(), try await client.beginTransaction()] }
    store.answer(await store.request(), "1\0")
    store.answer(await store.request(), "2\0")
    let transactions = try await beginning.value
    let reading = Task { try await transactions[0].read("/a") }
    _ = await store.request()
    let committing = Task { try await transactions[1].commit() }
    _ = await store.request()
    store.cut()
    await #expect(throws: XenStoreClientError.transactionLost) { try await reading.value }
    await #expect(throws: XenStoreClientError.connectionLost) { try await committing.value }
    await #expect(throws: XenStoreClientError.transactionLost) { try await transactions[0].write("/a", "1") }
    await #expect(throws: XenStoreClientError.transactionLost) { try await transactions[0].commit() }
    // Nor does it become another transaction that has the same number on the new connection.
    let third = Task { try await client.beginTransaction() }
    store.answer(await store.request(), "1\0")
    _ = try await third.value
    await #expect(throws: XenStoreClientError.transactionLost) { try await transactions[0].commit() }
  }

  @Test func aTransactionThatWasLostBeforeItsCommitIsRunAgain() async throws {
    let store = ComingAndGoingStore()
    let client = try store.makeClient(Self.patient)
    let runs = Mutex(0)
    try await client.withTransaction { transaction throws(XenStoreClientError) in
      try await transaction.write("/a", "1")
      let isFirst = runs.withLock { runs in
        runs += 1
        return runs == 1
      }
      if isFirst {
        store.stop()
        store.start()
      }
    }
    #expect(runs.withLock { $0 } == 2)
    #expect(try await client.read("/a") == "1")
  }

  @Test func requestsMadeMeanwhileWaitInOrder() async throws {
    let store = ComingAndGoingStore()
    let client = try store.makeClient(Self.patient)
    store.stop()
    #expect(client.connectionState == .reconnecting)
    var batch = XenStoreBatch()
    batch.write("/a", "1")
    let value = batch.read("/a")
    async let replies = client.perform(batch)
    store.start()
    #expect(try await replies[value] == "1")
    var states = client.connectionStates.makeAsyncIterator()
    while await states.next() != .connected {}
  }

  @Test func aRequestDoesNotWaitForeverForAConnection() async throws {
    let limit = Duration.milliseconds(20)
    let store = ComingAndGoingStore()
    let client = try store.makeClient(XenStoreClient.Configuration(reconnect: .backOff(limit: nil), connectionWaitLimit: limit))
    store.stop()
    await #expect(throws: XenStoreClientError.notConnected(.write, path: "/a", limit: limit)) { try await client.write("/a", "1") }
    // It is not sent later either.
    store.start()
    var states = client.connectionStates.makeAsyncIterator()
    while await states.next() != .connected {}
    #expect(try await !client.exists("/a"))
  }

  @Test func aReadThatWasInFlightDoesNotWaitForeverForAnotherConnection() async throws {
    let limit = Duration.milliseconds(20)
    let store = try ScriptedStore(XenStoreClient.Configuration(reconnect: .backOff(limit: nil), connectionWaitLimit: limit))
    let reading = Task { try await store.client.read("/a") }
    _ = await store.request()
    store.cut(comesBack: false)
    await #expect(throws: XenStoreClientError.notConnected(.read, path: "/a", limit: limit)) { try await reading.value }
  }

  @Test func aClientThatWaitedInVainIsClosed() async throws {
    let store = ComingAndGoingStore()
    let client = try store.makeClient(XenStoreClient.Configuration(reconnect: .backOff(limit: .milliseconds(20))))
    let states = client.connectionStates
    let watch = try await client.watch("/a")
    store.stop()
    var seen: [XenStoreClient.ConnectionState] = []
    for await state in states { seen.append(state) }
    #expect(seen == [.connected, .reconnecting, .closed])
    for await _ in watch {}
    await #expect(throws: XenStoreClientError.connectionLost) { try await client.read("/a") }
    for await state in client.connectionStates { #expect(state == .closed) }
  }

  @Test func aStoreThatAcceptsAndHangsUpIsNotAStore() async throws {
    // Each connection ends before a reply: the time without one counts on.
    let store = ComingAndGoingStore()
    let isUseless = Mutex(false)
    var configuration = XenStoreClient.Configuration(reconnect: .backOff(limit: .milliseconds(20)))
    configuration.reconnectBackOff = XenStoreBackOff(first: .milliseconds(1), longest: .milliseconds(2))
    let client = try XenStoreClient(configuration: configuration) { () throws(Errno) in
      guard isUseless.withLock({ $0 }) else { return try store.connect() }
      let (transport, peer) = XenStoreLoopbackTransport.pair()
      peer.close()
      return transport
    }
    try await client.write("/a", "1")
    isUseless.withLock { $0 = true }
    store.stop()
    for await _ in client.connectionStates {}
    #expect(client.connectionState == .closed)
  }

  @Test func aClientThatIsClosedStaysClosed() async throws {
    let store = ComingAndGoingStore()
    let client = try store.makeClient(Self.patient)
    client.close()
    #expect(client.connectionState == .closed)
    await #expect(throws: XenStoreClientError.connectionLost) { try await client.read("/a") }
    #expect(store.connectionCount == 1)
  }

  @Test func withoutReconnectionAClientIsClosedWithItsConnection() async throws {
    let store = ComingAndGoingStore()
    let client = try store.makeClient(XenStoreClient.Configuration())
    let states = client.connectionStates
    store.stop()
    store.start()
    var seen: [XenStoreClient.ConnectionState] = []
    for await state in states { seen.append(state) }
    #expect(seen == [.connected, .closed])
  }

  @Test func onlyWatchesThatAreStillHeldAreRegisteredAgain() async throws {
    let store = try ScriptedStore(Self.patient)
    let client = store.client
    let watching = Task { [try await client.watch("/a", token: "a"), try await client.watch("/b", token: "b")] }
    store.answer(await store.request())
    store.answer(await store.request())
    let watches = try await watching.value
    let pending = Task { try await client.watch("/c", token: "c") }
    _ = await store.request()
    store.cut(comesBack: false)
    watches[0].cancel()
    store.comeBack()
    let again = await store.requests(2)
    #expect(again.map(\.payload) == [["/b", "b"], ["/c", "c"]].map(XenStorePayload.join))
    // One that the store refuses now ends; the other goes on.
    store.send(XenStorePacket(.error, requestID: again[0].requestID, strings: ["EACCES"]))
    store.answer(again[1])
    for await _ in watches[1] {}
    store.send(XenStorePacket(.watchEvent, strings: ["/c/x", "c"]))
    var events = try await pending.value.makeAsyncIterator()
    #expect(await events.next()?.path == "/c/x")
  }
}
