import Testing
import XenInterface
import XenStoreWire

@testable import XenStoreCore

@Suite struct OutputQueueTests {
  private func expect(
    _ isNew: Bool, whenAdding event: WaitingEvent, to queue: inout OutputQueue, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let wasNew = queue.append(event)
    #expect(wasNew == isNew, sourceLocation: sourceLocation)
  }

  /// A short queue is looked through, a long one has a table: both sides of where one becomes the other.
  @Test(arguments: [0, 1, 7, 8, 9, 10, 300] as [Int])
  func doesNotAddAnEventThatWaitsHoweverManyOthersDo(otherCount: Int) {
    var queue = OutputQueue()
    // As bytes, they are the same.
    let reply = XenStorePacket(.watchEvent, strings: ["path", "token"])
    let event = WaitingEvent(path: Array("path".utf8), token: Array("token".utf8))
    expect(true, whenAdding: event, to: &queue)
    // A reply of the same bytes is not an event.
    queue.append(reply: reply)
    for other in 0..<otherCount {
      let event = WaitingEvent(path: event.path, token: Array("\(other)".utf8))
      expect(true, whenAdding: event, to: &queue)
      expect(false, whenAdding: event, to: &queue)
    }
    expect(false, whenAdding: event, to: &queue)
    #expect(queue.packets.count == otherCount + 2)
    #expect(queue.packets[1] == reply.encoded)

    let taken = queue.next()
    #expect(taken == reply.encoded)
    expect(true, whenAdding: event, to: &queue)  // One that was taken may wait again.
    expect(false, whenAdding: event, to: &queue)
    while queue.next() != nil {}
    #expect(queue.isEmpty)
    #expect(queue.replyCount == 0 && queue.eventByteCount == 0)
    expect(true, whenAdding: event, to: &queue)
  }
}
