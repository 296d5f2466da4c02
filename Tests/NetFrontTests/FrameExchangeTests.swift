@testable import NetFront
import NetPackets
import Testing
import XenInterface

@Suite struct FrameExchangeTests {
  /// More than the ring holds: they go out in order, as there is room.
  @Test func aLargeBatchWaitsForRoom() throws {
    let system = try FrontSystem()
    let exchange = FrameExchange(system.plane)
    system.plane.client = exchange
    var sent: Int?
    exchange.send(FrameExchange.Batch((0..<600).map { NetFrame(pattern(14 + $0)) }, queue: 0) { sent = $0 })
    var arrived: [Int] = []
    while arrived.count < 600 {
      let slots = try system.back.takeSlots()
      try #require(!slots.isEmpty)
      arrived += slots.map { Int($0.byteCount) }
      for slot in slots { system.back.answer(slot.identifier) }
      system.turn()
    }
    #expect(arrived == (0..<600).map { 14 + $0 } && sent == 600)
    system.finish()
  }

  @Test func whatCannotBeSentIsLeftOut() throws {
    let system = try FrontSystem()
    let exchange = FrameExchange(system.plane)
    system.plane.client = exchange
    var sent: [Int] = []
    exchange.send(FrameExchange.Batch([NetFrame(pattern(13)), NetFrame(pattern(60)), NetFrame(pattern(70_000))], queue: 0) { sent.append($0) })
    #expect(sent == [1])
    system.back.unmap()
    #expect(system.plane.backendVanished("dead"))
    exchange.send(FrameExchange.Batch([NetFrame(pattern(60))], queue: 0) { sent.append($0) })
    #expect(sent == [1, 0])
    system.finish()
  }

  /// Who waits for room when the back-end dies is told, not left waiting.
  @Test func aWaitingBatchEndsWithTheConnection() throws {
    let system = try FrontSystem()
    let exchange = FrameExchange(system.plane)
    system.plane.client = exchange
    var sent: Int?
    exchange.send(FrameExchange.Batch((0..<300).map { _ in NetFrame(pattern(60)) }, queue: 0) { sent = $0 })
    #expect(sent == nil)
    system.back.unmap()
    #expect(system.plane.backendVanished("dead"))
    #expect(sent == 256)
    system.finish()
  }

  @Test func receivedFramesAreKeptForASlowListenerUpToALimit() async throws {
    let system = try FrontSystem()
    let exchange = FrameExchange(system.plane)
    system.plane.client = exchange
    let (stream, continuation) = AsyncStream<NetFrame>.makeStream(bufferingPolicy: .bufferingOldest(2))
    exchange.listen(continuation)
    for count in [60, 5000, 70] { try system.back.deliver(pattern(count)) }
    system.turn()
    #expect(system.plane.counters.receiveDrops == 1)
    continuation.finish()
    var received: [NetFrame] = []
    for await frame in stream { received.append(frame) }
    #expect(received.map(\.bytes) == [pattern(60), pattern(5000)])
    system.finish()
  }
}
