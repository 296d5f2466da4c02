import LinuxSystem
import SharedMemory
import SharedRing
import Synchronization
import Testing
import XenInterface
import XenPlatform
import XenStoreClient
import XenStoreCore
import XenStoreRing
import XenStoreServer
import XenStoreWire

/// Domains that come over their pages.
@Suite(.serialized, .timeLimit(.minutes(5))) struct StorePageTests {
  static let domain5 = DomainID(rawValue: 5)

  /// A directory that domain 5 owns.
  private func makeHome(_ daemon: StoreDaemon) async throws {
    let control = try XenStoreClient(path: daemon.privilegedPath)
    for path in ["/local/domain/5", "/private"] { try await control.write(path, "") }
    try await control.setPermissions("/local/domain/5", [XenStorePermission(Self.domain5, .none)])
  }

  @Test func aDomainNeedsNothingButItsPage() async throws {
    try await withDaemon { daemon in
      try await makeHome(daemon)
      let guest = try RingGuest()
      try await daemon.serve(guest)
      var client = RawRingClient(guest)
      try client.send(XenStorePacket(.write, requestID: 7, payload: Array("key\0value".utf8)))
      let reply = try client.next()
      #expect(reply.type == .write)
      #expect(reply.requestID == 7)
      #expect(try client.ask(.read, "/local/domain/5/key").payload == Array("value".utf8))
      #expect(try await XenStoreClient(path: daemon.privilegedPath).read("/local/domain/5/key") == "value")
    }
  }

  @Test func itsPermissionsAreTheDomains() async throws {
    try await withDaemon { daemon in
      try await makeHome(daemon)
      let guest = try RingGuest()
      try await daemon.serve(guest)
      var client = RawRingClient(guest)
      #expect(try client.ask(.read, "/private").payload == Array("EACCES\0".utf8))
      try client.send(XenStorePacket(.write, payload: Array("/private\0mine".utf8)))
      #expect(try client.next().type == .error)
      #expect(try client.ask(.introduce, "6", "256", "1").payload == Array("EACCES\0".utf8))
    }
  }

  @Test func theFeaturesOfTheDomainAreInThePage() async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest()
      try await daemon.serve(guest)
      #expect(guest.page.serverFeatures == [.reconnection, .error, .watchDepth])
      let lesser = try RingGuest(domain: DomainID(rawValue: 6))
      let control = try RawClient(path: daemon.privilegedPath)
      try control.send(XenStorePacket(.setFeature, strings: ["6", "1"]).encoded)
      // Answered once it is seen below.
      var reader = control
      #expect(try reader.next()?.type == .setFeature)
      try await daemon.serve(guest, lesser)
      #expect(lesser.page.serverFeatures == [.reconnection])
    }
  }

  @Test(arguments: [0, UInt32.max &- 3000] as [UInt32])
  func packetsOfAllSizesGoThroughRingsThatAreSmaller(start: UInt32) async throws {
    try await withDaemon { daemon in
      try await makeHome(daemon)
      let guest = try RingGuest(start: start)
      try await daemon.serve(guest)
      var client = RawRingClient(guest)
      try await daemon.perform { $0.core.setQuota(.nodeSize, of: nil, to: 8192) }
      for byteCount in [0, 1, 500, 1007, 1008, 1009, 1024, 2048, 4092] {
        let value = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try client.send(XenStorePacket(.write, payload: Array("key\0".utf8) + value))
        #expect(try client.next().type == .write, "\(byteCount) bytes")
        #expect(try client.ask(.read, "key").payload == value, "\(byteCount) bytes")
      }
    }
  }

  @Test func watchEventsComeOverThePage() async throws {
    try await withDaemon { daemon in
      try await makeHome(daemon)
      let guest = try RingGuest()
      try await daemon.serve(guest)
      var client = RawRingClient(guest)
      #expect(try client.ask(.watch, "data", "token").type == .watch)
      #expect(try client.next().payload == Array("data\0token\0".utf8))
      try await XenStoreClient(path: daemon.privilegedPath).write("/local/domain/5/data/x", "1")
      #expect(try client.next().payload == Array("data/x\0token\0".utf8))
    }
  }

  @Test func aGuestThatDoesNotReadIsNotReadFromAndOthersAreServed() async throws {
    try await withDaemon { daemon in
      try await makeHome(daemon)
      let guest = try RingGuest()
      try await daemon.serve(guest)
      var requests = guest.page.requestProducer
      // Far more replies than the response ring and the daemon hold; none is read.
      let read = XenStorePacket(.getDomainPath, strings: ["5"]).encoded
      var putCount = 0
      var isFull = false
      while !isFull {
        let room = try requests.put(read)
        putCount += room
        guest.signal()
        try await daemon.settle()
        isFull = room < read.count
        try #require(putCount < 1 << 16, "the daemon reads on and on")
      }
      #expect(try await XenStoreClient(path: daemon.privilegedPath).read("/local/domain/5") == "")

      // Once it reads, everything is answered. The last request is in the ring in part only.
      var client = RawRingClient(guest)
      for _ in 0..<(putCount / read.count) { #expect(try client.next().payload == Array("/local/domain/5\0".utf8)) }
    }
  }

  @Test func aGuestCanBeginAgain() async throws {
    try await withDaemon { daemon in
      try await makeHome(daemon)
      let guest = try RingGuest(start: 100)
      try await daemon.serve(guest)
      var client = RawRingClient(guest)
      #expect(try client.ask(.watch, "data", "token").type == .watch)
      _ = try client.next()
      let transaction = try client.ask(.transactionStart, "")
      #expect(transaction.type == .transactionStart)
      // Half a request, and an event that nobody reads.
      try client.send(Array(XenStorePacket(.read, strings: ["data"]).encoded.prefix(20)))
      try await XenStoreClient(path: daemon.privilegedPath).write("/local/domain/5/data", "1")
      client.reconnect()
      #expect(guest.page.guestIndices.requestProducer == 0)

      // No event of the old watch comes before the reply; the transaction is not known; the same watch can be set again.
      try await XenStoreClient(path: daemon.privilegedPath).write("/local/domain/5/data", "2")
      let number = try #require(UInt32(String(decoding: transaction.payload.dropLast(), as: UTF8.self)))
      try client.send(XenStorePacket(.read, transactionID: number, strings: ["data"]))
      #expect(try client.next().payload == Array("ENOENT\0".utf8))
      #expect(try client.ask(.read, "data").payload == Array("2".utf8))
      #expect(try client.ask(.watch, "data", "token").type == .watch)
    }
  }

  @Test func thePageIsGivenBackWhenTheGuestEndsOrIsReleased() async throws {
    try await withDaemon { daemon in
      let ending = try RingGuest()
      let released = try RingGuest(domain: DomainID(rawValue: 6))
      try await daemon.serve(ending, released)
      #expect(try await daemon.perform { $0.ringCount } == 2)
      ending.closePort()
      while try await daemon.perform({ $0.ringCount }) != 1 {}
      try await daemon.perform { $0.release(DomainID(rawValue: 6)) }
      #expect(try await daemon.perform { $0.ringCount } == 0)
      #expect(RawRingClient(released).waitForError() == XenStoreRingError.communication.rawValue)
      for guest in [ending, released] {
        while guest.releaseCount.load(ordering: .sequentiallyConsistent) == 0 { try await daemon.settle() }
      }
    }
  }

  @Test func anIntroductionNamesThePageAndOneWithAReservedReferenceDoesNot() async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest()
      let control = try XenStoreClient(path: daemon.privilegedPath)
      try await daemon.serve()
      try await daemon.perform { server in
        server.serveRings { domain, address throws(PlatformError) in
          guard address.reference.rawValue == 256 else { throw .refused(operation: "mapping", reason: "nothing is granted there") }
          return try guest.storeRing()
        }
      }
      for reference in ["0", "7", "-1"] {
        _ = try await control.request(.introduce, about: "6", payload: XenStorePayload.join(["6", reference, "1"]))
      }
      #expect(try await daemon.perform { $0.ringCount } == 0)
      await #expect(throws: XenStoreClientError.refused(.introduce, path: "5", .invalidArgument)) {
        _ = try await control.request(.introduce, about: "5", payload: XenStorePayload.join(["5", "300", "1"]))
      }
      #expect(try await daemon.perform { $0.core.isIntroduced(Self.domain5) } == false)
      _ = try await control.request(.introduce, about: "5", payload: XenStorePayload.join(["5", "256", "1"]))
      var client = RawRingClient(guest)
      #expect(try client.ask(.getDomainPath, "5").payload == Array("/local/domain/5\0".utf8))

      // The same page again: its channel is bound anew.
      _ = try await control.request(.introduce, about: "5", payload: XenStorePayload.join(["5", "256", "1"]))
      #expect(try await daemon.perform { $0.ringCount } == 1)
      #expect(try client.ask(.getDomainPath, "5").payload == Array("/local/domain/5\0".utf8))
    }
  }

  @Test func aDomainCannotHavePagesWithoutEndOrComeBackByItself() async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest()
      try await daemon.perform { server in
        server.introduce(Self.domain5)
        server.serveRings { _, _ throws(PlatformError) in try guest.storeRing() }
        for index in 0..<XenStoreServer.ringLimitPerDomain { try server.connect(ring: RingGuest.address(index), of: Self.domain5) }
        #expect(throws: PlatformError.quotaExceeded(quota: "store-pages", domain: Self.domain5, limit: XenStoreServer.ringLimitPerDomain)) {
          try server.connect(ring: RingGuest.address(999), of: Self.domain5)
        }
        server.release(Self.domain5)
        #expect(throws: PlatformError.refused(operation: "connection of a store page", reason: "domain 5 is not introduced")) {
          try server.connect(ring: RingGuest.address(0), of: Self.domain5)
        }
      }
    }
  }
}
