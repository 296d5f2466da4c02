import SharedMemory
import SharedRing
import Testing
import XenInterface

private typealias Writer = EventWriter<TestRequest>
private typealias Reader = EventReader<TestRequest>

private func page() throws -> SharedBytes { try SharedRegion(anonymousByteCount: pageByteCount).bytes }

/// What a body throws, as a value.
private func eventFault(_ body: () throws(EventRingFault) -> Void) -> EventRingFault? {
  do throws(EventRingFault) { try body() } catch { return error }
  return nil
}

/// One-way rings of events, as keyboards and framebuffers of Xen have them.
@Suite struct EventRingTests {
  static let layouts: [EventRingLayout] = [.keyboardIn, .keyboardOut, .framebufferIn, .framebufferOut]

  @Test func theLayoutsHaveTheNumbersOfXensHeaders() {
    #expect(Self.layouts.map(\.count) == [51, 25, 25, 51])
    #expect(Self.layouts.map(\.first) == [1024, 3072, 1024, 2048])
    #expect(Self.layouts.allSatisfy { $0.first + Int($0.count) * $0.eventByteCount <= pageByteCount })
  }

  @Test(arguments: layouts, [0, 7, UInt32.max - 60, UInt32.max - 20, UInt32.max] as [UInt32])
  func eventsComeInOrderAndNoneIsLostWhereIndicesWrap(layout: EventRingLayout, start: UInt32) throws {
    let page = try page()
    for place in [layout.producer, layout.consumer] { page.store32(start, at: place) }
    var writer = try Writer(page, layout: layout)
    var reader = try Reader(page, layout: layout)
    var (written, read): (UInt64, UInt64) = (0, 0)
    var state: UInt64 = UInt64(start) + 1
    while read < 500 {
      state = state &* 6_364_136_223_846_793_005 &+ 1
      for _ in 0..<(state >> 40) % 60 {
        guard try writer.put(TestRequest(identifier: written)) else { break }
        written += 1
      }
      for _ in 0..<(state >> 20) % 60 {
        guard let event = try reader.take() else { break }
        #expect(event == TestRequest(identifier: read))
        read += 1
      }
    }
  }

  @Test(arguments: layouts) func aFullRingTakesNoMoreUntilAnEventIsRead(layout: EventRingLayout) throws {
    let page = try page()
    var writer = try Writer(page, layout: layout)
    var reader = try Reader(page, layout: layout)
    for number in 0..<UInt64(layout.count) { #expect(try writer.put(TestRequest(identifier: number)) == true) }
    #expect(try writer.put(TestRequest(identifier: 99)) == false)
    #expect(try reader.take() == TestRequest(identifier: 0))
    #expect(try writer.put(TestRequest(identifier: 100)) == true)
    let hasEvents = reader.hasEvents
    #expect(hasEvents)
  }

  @Test(arguments: layouts) func aProducerThatJumpsBreaksTheRingForGood(layout: EventRingLayout) throws {
    let page = try page()
    var reader = try Reader(page, layout: layout)
    page.store32(layout.count + 1, at: layout.producer)
    let expected = EventRingFault(offender: .writer, claimed: layout.count + 1, own: 0, allowedCount: layout.count)
    #expect(eventFault { () throws(EventRingFault) in _ = try reader.take() } == expected)
    page.store32(1, at: layout.producer)
    #expect(eventFault { () throws(EventRingFault) in _ = try reader.take() } == expected, "an honest value later does not mend the ring")
  }

  @Test(arguments: layouts, [1, 5, 0x8000_0000, 0x7FFF_FFFF] as [UInt32])
  func aConsumerThatClaimsMoreThanWasWrittenBreaksTheRing(layout: EventRingLayout, jump: UInt32) throws {
    let page = try page()
    var writer = try Writer(page, layout: layout)
    for number in 0..<UInt64(layout.count) { _ = try writer.put(TestRequest(identifier: number)) }
    page.store32(layout.count &+ jump, at: layout.consumer)
    #expect(eventFault { () throws(EventRingFault) in _ = try writer.put(TestRequest(identifier: 0)) }?.offender == .reader)
  }

  @Test func anythingInThePageIsAFaultOrAHarmlessEvent() throws {
    let page = try page()
    var state: UInt64 = 1
    for _ in 0..<2000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1
      page.store32(UInt32(truncatingIfNeeded: state >> 32) % 60, at: EventRingLayout.keyboardIn.producer)
      page.store32(UInt32(truncatingIfNeeded: state >> 16) % 60, at: EventRingLayout.keyboardIn.consumer)
      _ = eventFault { () throws(EventRingFault) in
        var reader = try Reader(page, layout: .keyboardIn)
        for _ in 0..<60 where try reader.take() != nil {}
        var writer = try Writer(page, layout: .keyboardIn)
        _ = try writer.put(TestRequest(identifier: state))
      }
    }
  }
}
