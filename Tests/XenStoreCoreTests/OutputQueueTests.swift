import Testing
import XenInterface
import XenStoreWire

@testable import XenStoreCore

@Suite struct OutputQueueTests {
  private func expect(
    _ isNew: Bool, whenAdding event: [UInt8], to queue: inout OutputQueue, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let wasNew = queue.append(event: event)
    #expect(wasNew == isNew, sourceLocation: sourceLocation)
  }

  /// A short queue is looked through, a long one has a table: both sides of where one becomes the other.
  @Test(arguments: [0, 1, 7, 8, 9, 10, 300] as [Int])
  func doesNotAddAnEventThatWaitsHoweverManyOthersDo(otherCount: Int) {
    var queue = OutputQueue()
    let reply = XenStorePacket(.read, payload: [255, 255])
    let event = reply.encoded
    expect(true, whenAdding: event, to: &queue)
    // A reply of the same bytes is not an event.
    queue.append(reply: reply)
    for other in 0..<otherCount {
      let bytes = [UInt8(other & 0xFF), UInt8(other >> 8)]
      expect(true, whenAdding: bytes, to: &queue)
      expect(false, whenAdding: bytes, to: &queue)
    }
    expect(false, whenAdding: event, to: &queue)
    #expect(queue.packets.count == otherCount + 2)
    #expect(queue.packets[1] == reply.encoded)

    let taken = queue.next()
    #expect(taken == event)
    expect(true, whenAdding: event, to: &queue)  // One that was taken may wait again.
    expect(false, whenAdding: event, to: &queue)
    while queue.next() != nil {}
    #expect(queue.isEmpty)
    #expect(queue.replyCount == 0 && queue.eventByteCount == 0)
    expect(true, whenAdding: event, to: &queue)
  }
}
