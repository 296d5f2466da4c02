import EventLoop
import Foundation
import Testing
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreServer
import XenStoreWire

/// A store and the way to it.
enum Connection: String, CaseIterable, CustomTestStringConvertible {
  case loopback, socket
  var testDescription: String { rawValue }
}

/// Where clients come from in a test.
struct Clients: Sendable {
  /// A further client of the control domain.
  let privileged: @Sendable () throws -> XenStoreClient
  /// A further client of domain 5.
  let guest: @Sendable () throws -> XenStoreClient
  let release: @Sendable (DomainID) async throws -> Void
  /// Makes the daemon go away.
  let end: @Sendable () async throws -> Void
}

func withClients(_ connection: Connection, _ body: (Clients) async throws -> Void) async throws {
  switch connection {
  case .loopback:
    let service = XenStoreInMemoryService()
    try await body(
      Clients(
        privileged: { makeClient(of: service, domain: .control, privileged: true) },
        guest: { makeClient(of: service, domain: DomainID(rawValue: 5), privileged: false) },
        release: { service.release($0) },
        end: { service.closeAll() }))
  case .socket:
    try await withDaemon { daemon in
      try await body(
        Clients(
          privileged: { try XenStoreClient(path: daemon.privilegedPath) },
          guest: { try XenStoreClient(path: daemon.guestPath) },
          release: { domain in try await daemon.perform { $0.release(domain) } },
          end: { try await daemon.perform { $0.close() } }))
    }
  }
}

/// Ties a client to a store in this process.
func makeClient(of service: XenStoreInMemoryService, domain: DomainID, privileged: Bool) -> XenStoreClient {
  let (client, server) = XenStoreLoopbackTransport.pair()
  let id = service.connect(domain: domain, privileged: privileged) { bytes in
    do { try server.send(bytes) } catch {}
  } close: {
    server.close()
  }
  server.start(receive: { service.receive($0, from: id) }, closed: { service.disconnect(id) })
  return XenStoreClient(transport: client)
}

@Suite(.timeLimit(.minutes(5))) struct ClientTests {
  @Test(arguments: Connection.allCases)
  func readsWhatWasWritten(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      try await store.write("/a/b", "hello")
      #expect(try await store.read("/a/b") == "hello")
      try await store.write("/a/bytes", bytes: [0, 1, 0xFF])
      #expect(try await store.readBytes("/a/bytes") == [0, 1, 0xFF])
      try await store.makeDirectory("/a/empty")
      #expect(try await store.directory("/a") == ["b", "bytes", "empty"])
      #expect(try await store.exists("/a/empty"))
      #expect(try await store.readIfPresent("/a/x") == nil)
      try await store.remove("/a")
      #expect(try await !store.exists("/a/b"))
      #expect(try await store.control(["check"]) == "OK")
    }
  }

  @Test(arguments: Connection.allCases)
  func anErrorSaysOperationPathAndErrno(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      await #expect(throws: XenStoreClientError.refused(.read, path: "/missing", .noEntry)) { try await store.read("/missing") }
      #expect("\(XenStoreClientError.refused(.read, path: "/missing", .noEntry))" == "store: read /missing: ENOENT")
      await #expect(throws: XenStoreClientError.unsendable(.read, path: "/a\0b")) { try await store.read("/a\0b") }
      let large = String(repeating: "x", count: 4096)
      await #expect(throws: XenStoreClientError.unsendable(.write, path: "/a")) { try await store.write("/a", large) }
      #expect(try await store.directory("/") == [])
    }
  }

  @Test(arguments: Connection.allCases)
  func permissionsAreSetAndHeld(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      let guest = try clients.guest()
      try await store.write("/a", "1")
      await #expect(throws: XenStoreClientError.refused(.read, path: "/a", .accessDenied)) { try await guest.read("/a") }
      let permissions = [XenStorePermission(.control, .none), XenStorePermission(DomainID(rawValue: 5), .read)]
      try await store.setPermissions("/a", permissions)
      #expect(try await store.permissions("/a") == permissions)
      #expect(try await guest.read("/a") == "1")
      #expect(try await guest.domainPath(DomainID(rawValue: 5)) == "/local/domain/5")
    }
  }

  @Test(arguments: Connection.allCases)
  func domainsAreIntroducedAndReleased(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      let seven = DomainID(rawValue: 7)
      #expect(try await !store.isIntroduced(seven))
      try await store.introduce(seven)
      #expect(try await store.isIntroduced(seven))
      try await store.release(seven)
      #expect(try await !store.isIntroduced(seven))
    }
  }

  @Test(arguments: Connection.allCases)
  func aDirectoryOfAnySizeIsListed(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      let names = (0..<1000).map { "child-\($0)" }.sorted()
      for name in names { try await store.write("/big/\(name)", "") }
      #expect(try await store.directory("/big") == names)
    }
  }

  @Test(arguments: Connection.allCases)
  func manyTasksShareOneConnection(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<100 {
          group.addTask {
            try await store.write("/n/\(number)", "\(number)")
            #expect(try await store.read("/n/\(number)") == "\(number)")
          }
        }
        try await group.waitForAll()
      }
      #expect(try await store.directory("/n").count == 100)
    }
  }

  @Test(arguments: Connection.allCases)
  func transactionsThatMeetTryAgainUntilEachCounts(connection: Connection) async throws {
    try await withClients(connection) { clients in
      try await clients.privileged().write("/counter", "0")
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<4 {
          let store = try clients.privileged()
          group.addTask {
            for _ in 0..<25 {
              // Tests that keep the processors busy may run beside this one: what is limited here is the suite's time.
              try await store.withTransaction(attempts: 10_000, backOff: XenStoreBackOff(total: .seconds(300))) {
                transaction throws(XenStoreClientError) in
                let count = Int(try await transaction.read("/counter")) ?? 0
                try await transaction.write("/counter", String(count + 1))
              }
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await clients.privileged().read("/counter") == "100")
    }
  }

  @Test(arguments: Connection.allCases)
  func aTransactionThatAlwaysMeetsGivesUp(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      try await store.write("/a", "0")
      await #expect(throws: XenStoreClientError.contended(attempts: 3)) {
        try await store.withTransaction(attempts: 3) { transaction throws(XenStoreClientError) in
          try await transaction.write("/a", "mine")
          try await store.write("/a", "other")
        }
      }
      #expect(try await store.read("/a") == "other")
    }
  }

  @Test(arguments: Connection.allCases)
  func anErrorInATransactionDropsItsChanges(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      await #expect(throws: XenStoreClientError.refused(.read, path: "/missing", .noEntry)) {
        try await store.withTransaction { transaction throws(XenStoreClientError) in
          try await transaction.write("/a", "1")
          _ = try await transaction.read("/missing")
        }
      }
      #expect(try await !store.exists("/a"))
      // All were ended: the guest's limit is not used up either.
      let guest = try clients.guest()
      for _ in 0..<20 { try await guest.withTransaction { transaction throws(XenStoreClientError) in } }
    }
  }

  @Test(arguments: Connection.allCases)
  func aWatchBeginsWithAnEventAndFollowsChanges(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      let writer = try clients.privileged()
      var events = try await store.watch("tool", token: "mine").makeAsyncIterator()
      #expect(await events.next() == XenStoreWatchEvent(path: "tool", token: "mine"))
      try await writer.write("/local/domain/0/tool/x", "1")
      #expect(await events.next() == XenStoreWatchEvent(path: "tool/x", token: "mine"))
      try await store.write("tool/y", "1")
      #expect(await events.next() == XenStoreWatchEvent(path: "tool/y", token: "mine"))
    }
  }

  @Test(arguments: Connection.allCases)
  func eventsNobodyTookAreKeptOncePerPath(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      var events = try await store.watch("/a").makeAsyncIterator()
      for value in 0..<1000 { try await store.write("/a/\(value % 2)", "\(value)") }
      let paths = [await events.next()?.path, await events.next()?.path, await events.next()?.path]
      #expect(paths == ["/a", "/a/0", "/a/1"])
      try await store.write("/a/last", "")
      #expect(await events.next()?.path == "/a/last")
    }
  }

  @Test(arguments: Connection.allCases)
  func aTokenInUseIsRefused(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      let first = try await store.watch("/a", token: "t")
      await #expect(throws: XenStoreClientError.refused(.watch, path: "/b", .exists)) { try await store.watch("/b", token: "t") }
      first.cancel()
      _ = try await store.watch("/b", token: "t")
    }
  }

  @Test(arguments: Connection.allCases)
  func aWatchIsWithdrawnWhenItsTaskIsCancelledOrNobodyHoldsIt(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let guest = try clients.guest()
      // Twice the limit of watches: each must have been given back.
      for _ in 0..<256 {
        let watch = try await guest.watch("/local/domain/5")
        let task = Task {
          var count = 0
          for await _ in watch { count += 1 }
          return count
        }
        task.cancel()
        #expect(await task.value <= 1)
      }
      for _ in 0..<256 { _ = try await guest.watch("/local/domain/5") }
    }
  }

  @Test(arguments: Connection.allCases)
  func aDeadDaemonFailsWaitingCallsAndEndsWatches(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let store = try clients.privileged()
      let watch = try await store.watch("/a")
      let count = Task {
        var count = 0
        for await _ in watch { count += 1 }
        return count
      }
      try await clients.end()
      #expect(await count.value <= 1)
      await #expect(throws: XenStoreClientError.connectionLost) {
        while true { try await store.write("/a", "1") }
      }
      await #expect(throws: XenStoreClientError.connectionLost) { try await store.watch("/b") }
    }
  }

  @Test(arguments: Connection.allCases)
  func aReleasedDomainLosesItsConnections(connection: Connection) async throws {
    try await withClients(connection) { clients in
      let guest = try clients.guest()
      let watch = try await guest.watch("/x")
      try await clients.release(DomainID(rawValue: 5))
      for await _ in watch {}
      await #expect(throws: XenStoreClientError.connectionLost) { try await guest.domainPath(.control) }
      #expect(try await clients.guest().domainPath(.control) == "/local/domain/0")
    }
  }

  @Test func aReplyThatTheRequestCannotHaveIsTold() async throws {
    let (transport, peer) = XenStoreLoopbackTransport.pair()
    let store = XenStoreClient(transport: transport)
    peer.start(
      receive: { bytes in
        var parser = XenStorePacketParser()
        parser.feed(bytes)
        guard case .packet(let request) = parser.next() else { return }
        let replies = [
          // Replies to nothing and events of no watch are ignored.
          XenStorePacket(.read, requestID: request.requestID &+ 100, payload: [1]),
          XenStorePacket(.watchEvent, strings: ["/a", "nobody"]),
          XenStorePacket(.watchEvent, payload: [1]),
          XenStorePacket(.directory, requestID: request.requestID, payload: []),
        ]
        do { try peer.send(replies.flatMap(\.encoded)) } catch {}
      }, closed: {})
    await #expect(throws: XenStoreClientError.malformedReply(.read, path: "/a")) { try await store.read("/a") }
  }

  @Test func aDaemonThatBreaksTheProtocolIsLeft() async throws {
    let (transport, peer) = XenStoreLoopbackTransport.pair()
    let store = XenStoreClient(transport: transport)
    peer.start(
      receive: { _ in
        do { try peer.send([UInt8](repeating: 0xFF, count: 16)) } catch {}
      }, closed: {})
    await #expect(throws: XenStoreClientError.connectionLost) { try await store.read("/a") }
  }
}
