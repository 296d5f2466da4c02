import DriverTestSupport
import PVDriver
import Testing
import XenInterface
import Xenbus

/// The generic halves, where a generated driver does not reach them: versions, answers that come later, features.
@Suite struct RequestRingTests {
  @Test func anOldFrontEndAndANewBackEndShareARing() async throws {
    let pair = try await MixedDriverPair<NewSumEngine, SumOld>()
    try await pair.startBackend()
    // Often enough that every entry has held a newer response, whose bytes lie where the second number would be.
    for number in 0..<500 as Range<UInt64> {
      var request = SumRequest<Two>()
      request.first = number
      #expect(try await pair.client.call(request).response.sum == number)
    }
    #expect(await pair.finish() == "")
  }

  @Test func aNewFrontEndAndAnOldBackEndShareARing() async throws {
    let pair = try await MixedDriverPair<OldSumEngine, SumNew>()
    try await pair.startBackend()
    for number in 0..<500 as Range<UInt64> {
      var request = SumRequest<Three>()
      request.first = number
      request.second = 1000
      let response = try await pair.client.call(request).response
      #expect(response.sum == number)
      #expect(response.answeredBy == 0, "what the other end does not know is zero")
    }
    #expect(await pair.finish() == "")
  }

  @Test func twoNewEndsUseTheNewestVersionAndARingOfSeveralPages() async throws {
    let pair = try await DriverPair<NewSumEngine>()
    try await pair.startBackend()
    var request = SumRequest<Three>()
    request.first = 3
    request.second = 4
    let response = try await pair.client.call(request).response
    #expect(response.sum == 7)
    #expect(response.answeredBy == 2)
    #expect(await pair.finish() == "")
  }

  @Test func answersMayComeLaterAndInAnyOrder() async throws {
    let pair = try await DriverPair<NewSumEngine>(options: ["later": "yes"])
    try await pair.startBackend()
    let sums = try await withThrowingTaskGroup(of: (UInt64, UInt64).self) { group in
      for number in 0..<300 as Range<UInt64> {
        group.addTask {
          var request = SumRequest<Three>()
          request.first = number
          return (number, try await pair.client.call(request).response.sum)
        }
      }
      return try await group.reduce(into: [UInt64: UInt64]()) { $0[$1.0] = $1.1 }
    }
    #expect(sums.count == 300)
    #expect(sums.allSatisfy { $0.key == $0.value })
    #expect(await pair.finish() == "")
  }

  @Test func aBackEndThatStopsAnswersWhatItHasFirst() async throws {
    let pair = try await DriverPair<NewSumEngine>(options: ["later": "yes"])
    try await pair.startBackend()
    async let pending = pair.client.call(SumRequest<Three>())
    while await pair.counters()?.requests == 0 { try await Task.sleep(for: .milliseconds(1)) }
    await pair.stopBackend()
    #expect(try await pending.response.sum == 0)
    #expect(await pair.finish() == "")
  }

  @Test func whatMustNotBeDoneTwiceFailsWhenItsBackEndDies() async throws {
    let pair = try await MixedDriverPair<NewSumEngine, SumOld>(options: ["later": "yes"])
    try await pair.startBackend()
    let pending = Task { try await pair.client.call(SumRequest<Two>()) }
    while await pair.counters()?.requests == 0 { try await Task.sleep(for: .milliseconds(1)) }
    await pair.killBackend()
    do {
      _ = try await pending.value
      // The answer may have been on its way already.
    } catch let error as RequestRingError {
      guard case .backendLost = error else { throw error }
    }
    #expect(await pair.finish() == "")
  }

  @Test func featuresAreAgreedOn() async throws {
    let pair = try await DriverPair<NewSumEngine>(configure: {
      $0.features.fast = false
      $0.features.depth = 20
    })
    try await pair.startBackend()
    let features = try #require(await pair.client.features())
    #expect(features.fast == false)
    #expect(features.depth == 8)
    #expect(await pair.finish() == "")
  }

  @Test func callsThatNobodyAnswersEndAfterATime() async throws {
    let pair = try await DriverPair<NewSumEngine>(configure: { $0.reconnectTimeoutNanoseconds = 20_000_000 })
    await #expect(throws: RequestRingError.notConnected(waitedNanoseconds: 20_000_000)) { try await pair.client.call(SumRequest<Three>()) }
    await #expect(throws: RequestRingError.tooLarge(byteCount: 1, maximum: 0)) { try await pair.client.call(SumRequest<Three>(), receiving: 1) }
    await pair.client.close()
    await #expect(throws: RequestRingError.closed) { try await pair.client.call(SumRequest<Three>()) }
    #expect(await pair.finish() == "")
  }

  @Test func moreCallsThanMayWaitFailAtOnce() async throws {
    let pair = try await DriverPair<NewSumEngine>(configure: { $0.waitingLimit = 1 })
    async let first = pair.client.call(SumRequest<Three>())
    try await Task.sleep(for: .milliseconds(50))
    await #expect(throws: RequestRingError.tooManyWaiting(limit: 1)) { try await pair.client.call(SumRequest<Three>()) }
    try await pair.startBackend()
    #expect(try await first.response.sum == 0)
    #expect(await pair.finish() == "")
  }

  @Test func anEngineThatCannotOpenEndsTheBackEndWithItsWords() async throws {
    let pair = try await DriverPair<NewSumEngine>(options: ["fail": "no such thing"])
    await #expect(throws: SumFailure.self) { try await pair.startBackend() }
    #expect(await pair.finish() == "")
    let unknown = try await DriverPair<NewSumEngine>(options: ["colour": "red"])
    await #expect(throws: EngineOptionError(key: "colour", known: ["later", "fail"])) { try await unknown.startBackend() }
    #expect(await unknown.finish() == "")
  }
}

/// What a peer writes into the store.
@Suite struct RequestRingNegotiationTests {
  private let offer = DriverOffer(SumNew.self, maximumRingPageOrder: 2)

  private func directory(_ side: XenbusSide, _ values: [String: String]) -> XenbusDirectory {
    XenbusDirectory(side: side, path: "/device", domain: DomainID(rawValue: 7), values: values)
  }

  private var transport: DriverTransport {
    DriverTransport(
      version: 2, entryByteCount: 32, ringReferences: [8, 9].map { GrantReference(rawValue: $0) }, port: EventChannelPort(rawValue: 3))
  }

  @Test func whatOneEndWritesTheOtherReads() throws {
    #expect(try DriverOffer(reading: directory(.backend, offer.keys)) == offer)
    #expect(try DriverTransport(reading: directory(.frontend, transport.keys), offered: offer) == transport)
  }

  @Test(arguments: [
    ("version", "3"), ("version", "0"), ("entry-size", "24"), ("entry-size", "33"), ("entry-size", "4096"), ("ring-page-order", "3"),
    ("ring-ref1", "8"), ("ring-ref1", nil), ("event-channel", "0"), ("event-channel", nil), ("entry-size", "-8"), ("ring-ref0", "x"),
  ] as [(String, String?)])
  func aFrontEndsKeyThatBreaksARuleIsNamed(key: String, value: String?) throws {
    var keys = transport.keys
    keys[key] = value
    do {
      _ = try DriverTransport(reading: directory(.frontend, keys), offered: offer)
      Issue.record("\(key)=\(value ?? "nothing") was taken")
    } catch {
      #expect("\(error)".contains(key), "\(error)")
    }
  }

  @Test(arguments: [("min-version", "3"), ("max-version", "0"), ("entry-size", "7"), ("entry-size", "1000"), ("max-ring-page-order", "5")])
  func aBackEndsKeyThatBreaksARuleIsRefused(key: String, value: String) {
    var keys = offer.keys
    keys[key] = value
    #expect(throws: XenbusKeyError.self) { try DriverOffer(reading: directory(.backend, keys)) }
  }

  @Test func endsWithoutACommonVersionDoNotConnect() {
    var newer = offer
    newer.versions = 3...4
    #expect(DriverChoice(SumNew.self, offered: newer) == nil)
    newer.versions = 2...4
    #expect(DriverChoice(SumNew.self, offered: newer)?.version == 2)
  }
}
