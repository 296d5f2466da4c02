import SharedMemory
import SharedRing
import TestSupport
import Testing

/// Indices that lie: a value is thrown, nothing is copied, nothing traps.
@Suite struct HostileStreamTests {
  @Test(
    arguments: ByteStreamLayout.samples.flatMap { layout in ([0, 5, UInt32.max &- 3, 1 << 31] as [UInt32]).map { (layout, $0) } },
    [1, 1 << 16, 1 << 31, UInt32.max - (1 << 14)] as [UInt32])
  func aProducerThatIsMoreThanARingAheadOrBehindIsRefused(sample: (layout: ByteStreamLayout, start: UInt32), beyond: UInt32) throws {
    let stream = try TestStream(sample.layout, start: sample.start)
    var consumer = stream.consumer
    let lie = sample.start &+ UInt32(sample.layout.byteCount) &+ beyond
    stream.indices.store32(lie, at: sample.layout.producerOffset)
    var buffer = [UInt8](repeating: 0, count: 64)
    let fault = #expect(throws: ByteStreamFault.self) { _ = try consumer.take(into: &buffer, limit: 64) }
    #expect(fault?.producer == lie)
    #expect(throws: ByteStreamFault.self) { _ = try consumer.filled() }
    #expect(throws: ByteStreamFault.self) { _ = try consumer.take(to: stream.data, at: 0, limit: 1) }
    #expect(stream.indices.load32(at: sample.layout.consumerOffset) == sample.start, "nothing was taken")
    #expect(buffer.allSatisfy { $0 == 0 })
  }

  @Test(arguments: [0, 5, UInt32.max &- 3] as [UInt32], [1, 1 << 16, 1 << 31, UInt32.max &- 2048] as [UInt32])
  func aConsumerThatHasTakenWhatWasNotPutIsRefused(start: UInt32, distance: UInt32) throws {
    let stream = try TestStream(start: start)
    var producer = stream.producer
    stream.indices.store32(start &+ distance, at: stream.layout.consumerOffset)
    #expect(throws: ByteStreamFault.self) { _ = try producer.put([1, 2, 3]) }
    #expect(throws: ByteStreamFault.self) { _ = try producer.room() }
    #expect(stream.data.load8(at: 1024 + Int(start & 2047)) == 0, "nothing was put")
  }

  @Test func whatThePeerWritesOverOurOwnIndexMakesNoDifference() throws {
    let (toUs, fromUs) = (try TestStream(), try TestStream())
    var (producer, consumer) = (fromUs.producer, toUs.consumer)
    fromUs.indices.store32(77, at: fromUs.layout.producerOffset)
    toUs.indices.store32(99, at: toUs.layout.consumerOffset)
    #expect(try producer.put([1]) == 1)
    #expect(fromUs.indices.load32(at: fromUs.layout.producerOffset) == 1)
    var buffer = [UInt8](repeating: 0, count: 8)
    #expect(try consumer.take(into: &buffer, limit: 8) == 0)
  }

  /// What was seen counts, not what the peer makes of it afterwards.
  @Test func anIndexThatMovesBetweenALookAndItsUseChangesNothing() throws {
    let stream = try TestStream()
    var (producer, consumer) = (stream.producer, stream.consumer)
    #expect(try producer.put([1, 2, 3, 4]) == 4)
    #expect(try consumer.filled().byteCount == 4)
    stream.indices.store32(0, at: stream.layout.producerOffset)
    consumer.advance(by: 4)
    #expect(throws: ByteStreamFault.self) { _ = try consumer.filled() }
    let count = try producer.room().byteCount
    stream.indices.store32(UInt32.max, at: stream.layout.consumerOffset)
    producer.advance(by: count)
    #expect(throws: ByteStreamFault.self) { _ = try producer.room() }
  }

  /// A peer that writes anything at any time: each operation ends with at most a ring's bytes, or with a fault.
  @Test func noSequenceOfIndicesMakesAnEndLeaveItsRing() throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    for layout in ByteStreamLayout.samples {
      let (toUs, fromUs) = (try TestStream(layout), try TestStream(layout))
      var (producer, consumer) = (fromUs.producer, toUs.consumer)
      var buffer = [UInt8](repeating: 0, count: layout.byteCount)
      let bytes = [UInt8](repeating: 7, count: layout.byteCount)
      for _ in 0..<5000 {
        let index = Bool.random(using: &random) ? UInt32.random(in: .min ... .max, using: &random) : UInt32.random(in: 0...20_000, using: &random)
        toUs.indices.store32(index, at: layout.producerOffset)
        fromUs.indices.store32(index, at: layout.consumerOffset)
        let taken = (try? consumer.take(into: &buffer, limit: .max)) ?? 0
        let put = (try? producer.put(bytes)) ?? 0
        try #require(taken <= layout.byteCount && put <= layout.byteCount, "seed \(seed)")
      }
    }
  }
}
