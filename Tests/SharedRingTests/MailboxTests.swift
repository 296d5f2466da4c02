import SharedMemory
import SharedRing
import Testing
import XenInterface

private func page() throws -> SharedBytes { try SharedRegion(anonymousByteCount: pageByteCount).bytes }

private func mailboxFault(_ body: () throws(MailboxFault) -> Void) -> MailboxFault? {
  do throws(MailboxFault) { try body() } catch { return error }
  return nil
}

/// One message at a time, and a byte that says whose turn it is.
@Suite struct MailboxTests {
  @Test func aMessageIsAnsweredAndTheNextOneCanGo() throws {
    let page = try page()
    var front = MailboxFront(initializing: page)
    var back = MailboxBack(attaching: page)
    for number in 0..<10 as Range<UInt8> {
      #expect(try front.takeAnswer() == nil)
      #expect(try back.take() == nil)
      #expect(front.submit([number, 2, 3], locality: number) == true)
      #expect(front.submit([9]) == false, "one at a time")
      let taken = try #require(try back.take())
      #expect(taken.message == [number, 2, 3] && taken.locality == number)
      #expect(try back.take() == nil, "a message is taken once")
      back.answer([number, number])
      #expect(try front.takeAnswer() == [number, number])
      #expect(try front.takeAnswer() == nil, "an answer is taken once")
    }
  }

  @Test func messagesOfEverySizeThatFitsArrive() throws {
    let page = try page()
    var front = MailboxFront(initializing: page)
    var back = MailboxBack(attaching: page)
    for count in [0, 1, 7, 100, MailboxLayout.capacity(of: pageByteCount)] {
      let message = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      #expect(front.submit(message) == true)
      #expect(try back.take()?.message == message)
      back.answer(message.reversed())
      #expect(try front.takeAnswer() == message.reversed())
    }
  }

  @Test func aCancelledMessageFreesTheMailboxOnceTheBackEndHasSeenIt() throws {
    let page = try page()
    var front = MailboxFront(initializing: page)
    var back = MailboxBack(attaching: page)
    #expect(front.submit([1]) == true)
    front.cancel()
    #expect(front.submit([2]) == false)
    #expect(try back.take() == nil)
    #expect(try front.takeAnswer() == nil)
    #expect(front.submit([2]) == true)
    #expect(try back.take()?.message == [2])
  }

  @Test func whatAPeerWritesIsAFaultOrHarmless() throws {
    let page = try page()
    var front = MailboxFront(initializing: page)
    var back = MailboxBack(attaching: page)
    page.store8(4, at: 4)
    #expect(mailboxFault { () throws(MailboxFault) in _ = try back.take() } == .state(4))
    page.store8(1, at: 4)
    page.store32(.max, at: 0)
    #expect(mailboxFault { () throws(MailboxFault) in _ = try back.take() } == .length(.max, capacity: 4088))
    page.store32(4, at: 0)
    page.store8(200, at: 7)
    #expect(mailboxFault { () throws(MailboxFault) in _ = try back.take() } == .extraPages(200))
    page.store8(0, at: 4)
    #expect(front.submit([1]) == true)
    page.store8(2, at: 4)
    page.store32(4089, at: 0)
    #expect(mailboxFault { () throws(MailboxFault) in _ = try front.takeAnswer() } == .length(4089, capacity: 4088))
  }

  @Test func randomBytesNeverTrap() throws {
    let page = try page()
    var state: UInt64 = 7
    for _ in 0..<3000 {
      var front = MailboxFront(initializing: page)
      var back = MailboxBack(attaching: page)
      _ = front.submit([1, 2])
      state = state &* 6_364_136_223_846_793_005 &+ 1
      page.store32(UInt32(truncatingIfNeeded: state >> 30) % 5000, at: 0)
      page.store32(UInt32(truncatingIfNeeded: state >> 20) & 0x0100_0005, at: 4)
      _ = mailboxFault { () throws(MailboxFault) in
        if try back.take() != nil { back.answer([3]) }
        _ = try front.takeAnswer()
      }
    }
  }
}
