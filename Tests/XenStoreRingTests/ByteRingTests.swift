import LinuxSystem
import SharedMemory
import Testing
import XenInterface
import XenStoreRing

/// A page of this process with both ends of it.
struct TestPage {
  let bytes: SharedBytes
  let page: XenStoreRingPage

  /// All four indices begin at `start`.
  init(start: UInt32 = 0) throws {
    bytes = try SharedRegion(anonymousByteCount: XenStoreRingPage.byteCount).bytes
    page = XenStoreRingPage(bytes)
    for offset in TestPage.indexOffsets { bytes.store32(start, at: offset) }
  }

  static let indexOffsets = [
    XenStoreInterfaceLayout.requestConsumerOffset, XenStoreInterfaceLayout.requestProducerOffset,
    XenStoreInterfaceLayout.responseConsumerOffset, XenStoreInterfaceLayout.responseProducerOffset,
  ]
}

@Suite struct ByteRingTests {
  @Test func whatIsPutIsTakenInOrder() throws {
    let page = try TestPage().page
    var producer = page.requestProducer
    var consumer = page.requestConsumer
    #expect(try producer.put([1, 2, 3, 4], from: 1) == 3)
    var buffer = [UInt8](repeating: 0, count: 8)
    #expect(try consumer.take(into: &buffer, at: 2, limit: 2) == 2)
    #expect(try consumer.take(into: &buffer, at: 4, limit: 6) == 1)
    #expect(buffer == [0, 0, 2, 3, 4, 0, 0, 0])
    #expect(try consumer.take(into: &buffer, limit: 8) == 0)
  }

  @Test func aFullRingTakesNoMoreUntilSomethingWasTaken() throws {
    let page = try TestPage().page
    var producer = page.responseProducer
    var consumer = page.responseConsumer
    let bytes = (0..<1500).map { UInt8(truncatingIfNeeded: $0) }
    #expect(try producer.put(bytes) == 1024)
    #expect(try producer.put(bytes, from: 1024) == 0)
    var buffer = [UInt8](repeating: 0, count: 2048)
    #expect(try consumer.take(into: &buffer, limit: 100) == 100)
    #expect(try producer.put(bytes, from: 1024) == 100)
    #expect(try consumer.take(into: &buffer, at: 100, limit: 2048) == 1024)
    #expect(Array(buffer[..<1124]) == Array(bytes[..<1124]))
  }

  @Test func theTwoRingsAndTheirIndicesLieWhereXenPutsThem() throws {
    let test = try TestPage()
    var requests = test.page.requestProducer
    var responses = test.page.responseProducer
    #expect(try requests.put([0xA1]) == 1)
    #expect(try responses.put([0xB1, 0xB2]) == 2)
    #expect(test.bytes.load8(at: 0) == 0xA1)
    #expect(test.bytes.load8(at: 1024) == 0xB1)
    #expect(test.bytes.load32(at: 2052) == 1)
    #expect(test.bytes.load32(at: 2060) == 2)
    #expect(test.bytes.load32(at: 2048) == 0)
    #expect(test.bytes.load32(at: 2056) == 0)
  }

  @Test(arguments: [0, 1, 1023, 1024, UInt32.max &- 2000, UInt32.max &- 1, UInt32.max] as [UInt32])
  func bytesComeOutAsTheyWentInWhateverTheIndicesBeginWith(start: UInt32) throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    let page = try TestPage(start: start).page
    var producer = page.requestProducer
    var consumer = page.requestConsumer
    // The reference model: what is in the ring.
    var queue: [UInt8] = []
    var next: UInt8 = 0
    for _ in 0..<2000 {
      if Bool.random(using: &random) {
        let bytes = (0..<Int.random(in: 0...1500, using: &random)).map { _ -> UInt8 in
          next &+= 1
          return next
        }
        let from = Int.random(in: 0...bytes.count, using: &random)
        let count = try producer.put(bytes, from: from)
        #expect(count == min(bytes.count - from, 1024 - queue.count), "seed \(seed)")
        queue += bytes[from..<from + count]
      } else {
        let limit = Int.random(in: 0...1200, using: &random)
        var buffer = [UInt8](repeating: 0, count: 1200)
        let count = try consumer.take(into: &buffer, limit: limit)
        try #require(count == min(limit, queue.count), "seed \(seed)")
        try #require(Array(buffer[..<count]) == Array(queue[..<count]), "seed \(seed)")
        queue.removeFirst(count)
      }
    }
  }

  @Test(arguments: [0, 5, UInt32.max &- 3, 1 << 31] as [UInt32], [1025, 1 << 16, 1 << 31, UInt32.max] as [UInt32])
  func aProducerThatIsMoreThanARingAheadOrBehindIsRefused(start: UInt32, distance: UInt32) throws {
    let test = try TestPage(start: start)
    var consumer = test.page.requestConsumer
    test.bytes.store32(start &+ distance, at: XenStoreInterfaceLayout.requestProducerOffset)
    var buffer = [UInt8](repeating: 0, count: 1024)
    #expect(throws: ByteRingFault.self) { _ = try consumer.take(into: &buffer, limit: 1024) }
    #expect(test.bytes.load32(at: XenStoreInterfaceLayout.requestConsumerOffset) == start, "nothing was taken")
  }

  @Test(arguments: [0, 5, UInt32.max &- 3] as [UInt32], [1, 1 << 16, 1 << 31, UInt32.max &- 1024] as [UInt32])
  func aConsumerThatHasTakenWhatWasNotPutIsRefused(start: UInt32, distance: UInt32) throws {
    let test = try TestPage(start: start)
    var producer = test.page.responseProducer
    test.bytes.store32(start &+ distance, at: XenStoreInterfaceLayout.responseConsumerOffset)
    #expect(throws: ByteRingFault.self) { _ = try producer.put([1, 2, 3]) }
  }

  @Test func whatThePeerWritesOverOurOwnIndexMakesNoDifference() throws {
    let test = try TestPage()
    var producer = test.page.responseProducer
    var consumer = test.page.requestConsumer
    test.bytes.store32(77, at: XenStoreInterfaceLayout.responseProducerOffset)
    test.bytes.store32(99, at: XenStoreInterfaceLayout.requestConsumerOffset)
    #expect(try producer.put([1]) == 1)
    #expect(test.bytes.load32(at: XenStoreInterfaceLayout.responseProducerOffset) == 1)
    var buffer = [UInt8](repeating: 0, count: 8)
    #expect(try consumer.take(into: &buffer, limit: 8) == 0)
  }

  @Test func restartingEmptiesTheRingsAndLetsTheGuestGoOn() throws {
    let test = try TestPage(start: 4000)
    test.page.error = XenStoreRingError.ringIndex.rawValue
    test.page.connection = .reconnect
    test.page.restart()
    for offset in TestPage.indexOffsets { #expect(test.bytes.load32(at: offset) == 0) }
    #expect(test.page.error == 0)
    #expect(test.page.connection == .connected)
  }

  @Test func aConnectionStateThatDoesNotExistIsTheSteadyOne() throws {
    let test = try TestPage()
    test.bytes.store32(0xDEAD_BEEF, at: XenStoreInterfaceLayout.connectionOffset)
    #expect(test.page.connection == .connected)
  }
}
