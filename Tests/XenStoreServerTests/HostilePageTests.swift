import EventLoop
import LinuxSystem
import SharedMemory
import TestSupport
import Testing
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreRing
import XenStoreServer
import XenStoreWire

/// Guests that write into their page what must not be there.
@Suite(.serialized, .timeLimit(.minutes(5))) struct HostilePageTests {
  /// Domain 5 breaks its ring; the others must not notice.
  private func expectOthersAreServed(_ daemon: StoreDaemon) async throws {
    let control = try XenStoreClient(path: daemon.privilegedPath)
    try await control.write("/others", "served")
    #expect(try await control.read("/others") == "served")
  }

  @Test("XSA-38: a request producer that is more than a ring ahead ends in the page's error, once, and nothing is read",
    arguments: [1025, 1 << 16, 1 << 31, UInt32.max] as [UInt32])
  func requestProducer(distance: UInt32) async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest(start: 40)
      try await daemon.serve(guest)
      guest.write(40 &+ distance, at: XenStoreInterfaceLayout.requestProducerOffset)
      var client = RawRingClient(guest)
      #expect(client.waitForError() == XenStoreRingError.ringIndex.rawValue)
      #expect(guest.bytes.load32(at: XenStoreInterfaceLayout.requestConsumerOffset) == 40)
      try await expectOthersAreServed(daemon)
      client.reconnect()
      #expect(guest.page.error == 0)
      #expect(try client.ask(.getDomainPath, "5").type == .getDomainPath)
    }
  }

  @Test("XSA-38: a response consumer that has taken what was not sent ends in the page's error", arguments: [1, 1 << 31] as [UInt32])
  func responseConsumer(distance: UInt32) async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest()
      try await daemon.serve(guest)
      var client = RawRingClient(guest)
      guest.bytes.store32(distance, at: XenStoreInterfaceLayout.responseConsumerOffset)
      try client.send(XenStorePacket(.getDomainPath, strings: ["5"]))
      #expect(client.waitForError() == XenStoreRingError.ringIndex.rawValue)
      try await expectOthersAreServed(daemon)
    }
  }

  @Test("XSA-38: a length that the protocol forbids ends in the page's error, and what follows is ignored",
    arguments: [4097, 1 << 31, UInt32.max] as [UInt32])
  func length(byteCount: UInt32) async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest()
      try await daemon.serve(guest)
      var client = RawRingClient(guest)
      var header = XenStorePacket(.read, payload: []).encoded
      for index in 0..<4 { header[12 + index] = UInt8(truncatingIfNeeded: byteCount >> UInt32(8 * index)) }
      try client.send(header)
      #expect(client.waitForError() == XenStoreRingError.protocolViolation.rawValue)
      let consumed = guest.bytes.load32(at: XenStoreInterfaceLayout.requestConsumerOffset)
      guest.write(consumed &+ 16, at: XenStoreInterfaceLayout.requestProducerOffset)
      try await daemon.settle()
      #expect(guest.bytes.load32(at: XenStoreInterfaceLayout.requestConsumerOffset) == consumed)
      try await expectOthersAreServed(daemon)
      client.reconnect()
      #expect(try client.ask(.getDomainPath, "5").type == .getDomainPath)
    }
  }

  @Test("XSA-420: indices that pass 2^31 and 2^32 are as good as any others",
    arguments: [1 << 30, 1 << 31, UInt32.max] as [UInt32], [100, 900, 1024] as [UInt32])
  func wrappingIndices(boundary: UInt32, before: UInt32) async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest(start: boundary &- before)
      try await daemon.serve(guest)
      var client = RawRingClient(guest)
      for _ in 0..<100 { #expect(try client.ask(.getDomainPath, "5").payload == Array("/local/domain/5\0".utf8)) }
      #expect(guest.page.guestIndices.requestProducer &- (boundary &- before) == 100 * 18)
    }
  }

  @Test("XSA-420: a producer behind its consumer is an error and no endless loop")
  func negativeDistance() async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest(start: 1 << 31)
      try await daemon.serve(guest)
      guest.write((1 << 31) - 1, at: XenStoreInterfaceLayout.requestProducerOffset)
      #expect(RawRingClient(guest).waitForError() == XenStoreRingError.ringIndex.rawValue)
      try await expectOthersAreServed(daemon)
    }
  }

  @Test("XSA-325: a broken ring is not the domain's death, and its later death is reported")
  func brokenIsNotDead() async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest()
      var watcher = try RawClient(path: daemon.privilegedPath)
      try watcher.send(XenStorePacket(.watch, strings: ["@releaseDomain", "t"]).encoded)
      #expect(try watcher.next()?.type == .watch)
      #expect(try watcher.next()?.type == .watchEvent)
      try await daemon.serve(guest)
      var client = RawRingClient(guest)
      #expect(try client.ask(.watch, "data", "t").type == .watch)
      guest.write(5000, at: XenStoreInterfaceLayout.requestProducerOffset)
      #expect(client.waitForError() == XenStoreRingError.ringIndex.rawValue)

      #expect(try await daemon.perform { $0.core.isIntroduced(DomainID(rawValue: 5)) })
      // No event has come: the next packet is the reply.
      try watcher.send(XenStorePacket(.isDomainIntroduced, strings: ["5"]).encoded)
      #expect(try watcher.next()?.payload == Array("T\0".utf8))
      try await daemon.perform { $0.release(DomainID(rawValue: 5)) }
      let event = try watcher.next()
      #expect(event?.type == .watchEvent)
      #expect(event?.payload.starts(with: Array("@releaseDomain".utf8)) == true)
      #expect(try await daemon.perform { $0.ringCount } == 0)
    }
  }

  @Test func aPageWithoutAnySenseIsSurvived() async throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    try await withDaemon { daemon in
      let guest = try RingGuest()
      try await daemon.serve(guest)
      for _ in 0..<300 {
        for offset in stride(from: 2048, to: 2080, by: 4) where Bool.random(using: &random) {
          let old = guest.bytes.load32(at: offset)
          let value = [0, 1, old &+ UInt32.random(in: 0...1100, using: &random), UInt32.random(in: .min ... .max, using: &random)]
          guest.bytes.store32(value.randomElement(using: &random)!, at: offset)
        }
        for _ in 0..<32 { guest.bytes.store32(UInt32.random(in: 0...40, using: &random), at: Int.random(in: 0..<512, using: &random) * 4) }
        guest.signal()
        try await daemon.settle()
      }
      try await expectOthersAreServed(daemon)
      var client = RawRingClient(guest)
      client.reconnect()
      #expect(try client.ask(.getDomainPath, "5").type == .getDomainPath, "seed \(seed)")
    }
  }

  @Test func aStormOfEventsIsSlowedDown() async throws {
    try await withDaemon { daemon in
      let guest = try RingGuest()
      try await daemon.serve(guest)
      for _ in 0..<1000 {
        guest.signal()
        try await daemon.settle()
      }
      // A late end for each event from the second in a row: a thousand signals are a handful of events.
      let counters = try await daemon.perform { $0.ringCounters(of: DomainID(rawValue: 5)) }
      let first = try #require(counters.first)
      #expect(first.events < 200)
      #expect(first.delayedNanoseconds > 0)
    }
  }
}
