import PVDriver
import SharedMemory
import SharedRing
import Testing
import XenInterface
import XenPlatform
import Xenbus

@testable import DriverTestSupport

/// Drivers with a page of events, through a store: versions, features, what an engine is told.
@Suite struct EventRingTests {
  @Test func anEngineIsToldOfConnectionsAndEventsAndItsCountersAreReported() async throws {
    let pair = try await EventDriverPair<PulseEngine>()
    try await pair.startBackend()
    var events = pair.client.events.makeAsyncIterator()
    for number in 0..<500 as Range<UInt64> {
      var event = PulseEvent<Three>()
      event.number = number
      event.sender = 1
      pair.client.send(event)
      let answer = try #require(await events.next())
      #expect(answer.number == number + 1)
      #expect(answer.sender == 0xB)
    }
    let report = try #require(await pair.counters())
    #expect(report.counters["answered"] == 500)
    #expect(report.counters["connections"] == 1)
    #expect(report.counters["minimumDepth"] == 8)
    #expect(report.requests == 1000)
    #expect(pair.client.agreement?.version == 2)
    #expect(await pair.finish() == "")
  }

  @Test func anOldFrontEndAndANewBackEndShareAPage() async throws {
    let target = try await BackendUnderTest<EventPageBackendDriver<PulseEngine>>(options: [:])
    let pages = try RawPages(target.frontPlatform, count: 1)
    // As the old end would: its version, and an entry as large as the new end needs.
    let backend = XenbusDirectory(side: .backend, path: "/backend", domain: .control, values: try await target.driver.advertise())
    let old = EventRingDevice<PulseOld>()
    let plan = try old.plan(for: backend)
    #expect(plan.version == 1)
    #expect(plan.inLayout.eventByteCount == 24)
    try await target.connect(old.keys(plan, page: pages.references[0], port: pages.channel.port))
    // What lies where the newer field is must not be taken for one.
    pages.memory.store64(77, at: plan.outLayout.first + 16)
    pages.memory.store64(5, at: plan.outLayout.first)
    pages.memory.storeRelease32(1, at: plan.outLayout.producer)
    pages.signal()
    #expect(await target.settle().requests == 2)
    #expect(pages.memory.load64(at: plan.inLayout.first) == 6)
    #expect(pages.memory.load64(at: plan.inLayout.first + 16) == 0)
    #expect(await target.disconnect() == "")
    // It was told once, however often the driver is asked to let go.
    #expect(await target.disconnect() == "")
    #expect(await target.driver.report().counters["ends"] == 1)
    #expect(await target.finish() == "")
  }

  @Test(arguments: [
    ("version", "3"), ("entry-size", "8"), ("entry-size", "1024"), ("event-channel", "0"), ("ring-ref0", nil), ("max-depth", "9"),
  ] as [(String, String?)])
  func aFrontEndsKeyThatBreaksARuleIsNamed(key: String, value: String?) throws {
    let device = EventRingDevice<PulseNew>()
    let plan = try device.plan(for: XenbusDirectory(side: .backend, path: "/backend", domain: .control, values: device.offer))
    var keys = device.keys(plan, page: GrantReference(rawValue: 8), port: EventChannelPort(rawValue: 3))
    let directory = { XenbusDirectory(side: .frontend, path: "/frontend", domain: rawFrontendDomain, values: keys) }
    #expect(try device.publication(of: directory()).page == GrantReference(rawValue: 8))
    keys[key] = value
    do {
      _ = try device.publication(of: directory())
      Issue.record("\(key)=\(value ?? "nothing") was taken")
    } catch {
      #expect("\(error)".contains(key), "\(error)")
    }
  }
}

/// Drivers whose requests come through a mailbox, through a store.
@Suite struct MailboxDriverTests {
  @Test func manyCallsAtOnceAreAnsweredOneAfterTheOther() async throws {
    let pair = try await DriverPair<PostedSumEngine>()
    try await pair.startBackend()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<200 as Range<UInt64> {
        group.addTask {
          var request = SumRequest<Three>()
          request.first = number
          request.second = 1000
          let sum = try await pair.client.call(request).response.sum
          #expect(sum == number + 1000)
        }
      }
      try await group.waitForAll()
    }
    await pair.killBackend()
    try await pair.startBackend()
    _ = try await pair.client.call(SumRequest<Three>())
    #expect(await pair.finish() == "")
  }

  @Test func anOldFrontEndAndANewBackEndShareAMailbox() async throws {
    let pair = try await MixedDriverPair<PostedSumEngine, SumPostedOld>()
    try await pair.startBackend()
    for number in 0..<100 as Range<UInt64> {
      var request = SumRequest<Two>()
      request.first = number
      #expect(try await pair.client.call(request).response.sum == number)
    }
    #expect(await pair.finish() == "")
  }

  @Test(arguments: HostileMailboxFrontend<PostedSumEngine>.Attack.allCases)
  func theBackEndOutlivesAHostileFrontEnd(attack: HostileMailboxFrontend<PostedSumEngine>.Attack) async throws {
    let outcome = try await HostileMailboxFrontend<PostedSumEngine>.attempt(attack)
    #expect(outcome.leftOver == "")
    #expect((outcome.counters.fault != nil) == [.impossibleState, .tooLong, .extraPages].contains(attack))
  }

  @Test func randomInputUpsetsNothing() async throws {
    let found = try await MailboxFuzz<PostedSumEngine>.search(seconds: TestSettings.fuzzSeconds, seed: TestSettings.seed)
    #expect(found == nil, "\(found?.wrong ?? "") for input \(found?.input ?? [])")
  }
}

/// Drivers with a stream of bytes, through a store.
@Suite struct ByteStreamDriverTests {
  @Test func bytesComeBackInOrderHoweverTheyAreCut() async throws {
    let pair = try await StreamDriverPair<MirrorEngine>()
    try await pair.startBackend()
    let sent = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 3) }
    async let sending: Void = {
      for start in stride(from: 0, to: sent.count, by: 7001) { try await pair.client.send(Array(sent[start..<min(sent.count, start + 7001)])) }
    }()
    var received: [UInt8] = []
    while received.count < sent.count { received += try await pair.client.receive(upTo: 5000) }
    try await sending
    #expect(received == sent)
    #expect(pair.client.agreement?.version == 2)
    #expect(await pair.finish() == "")
  }

  @Test func anEngineMaySpeakFirst() async throws {
    let pair = try await StreamDriverPair<MirrorEngine>(options: ["greeting": "hello"])
    try await pair.startBackend()
    #expect(try await pair.client.receive() == Array("hello".utf8))
    #expect(await pair.finish() == "")
  }

  @Test func whoeverWaitsForBytesIsToldThatTheConnectionEnded() async throws {
    let pair = try await StreamDriverPair<MirrorEngine>()
    try await pair.startBackend()
    async let waiting = pair.client.receive()
    // Until the answer has come back, the receiver waits on this connection.
    try await pair.client.send([1])
    #expect(try await waiting == [1])
    let next = Task { try await pair.client.receive() }
    await pair.killBackend()
    // Asked for before the end or after it: then the next back-end's bytes come.
    try await pair.startBackend()
    try await pair.client.send([2])
    do { #expect(try await next.value == [2]) } catch { #expect(error as? ByteStreamClientError == .connectionLost) }
    #expect(await pair.finish() == "")
  }
}
