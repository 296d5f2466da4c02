import LinuxSystem
import SharedMemory
import SharedRing
import TestSupport
import Testing

@Suite struct ByteStreamTests {
  @Test func whatIsPutIsTakenInOrder() throws {
    let stream = try TestStream()
    var (producer, consumer) = (stream.producer, stream.consumer)
    #expect(try producer.put([1, 2, 3, 4], from: 1) == 3)
    var buffer = [UInt8](repeating: 0, count: 8)
    #expect(try consumer.take(into: &buffer, at: 2, limit: 2) == 2)
    #expect(try consumer.take(into: &buffer, at: 4, limit: 6) == 1)
    #expect(buffer == [0, 0, 2, 3, 4, 0, 0, 0])
    #expect(try consumer.take(into: &buffer, limit: 8) == 0)
  }

  @Test func bytesAndIndicesLieWhereTheLayoutSays() throws {
    let stream = try TestStream(.console, start: 5)
    var producer = stream.producer
    #expect(try producer.put([0xA1, 0xA2]) == 2)
    #expect(stream.indices.load8(at: 1024 + 5) == 0xA1)
    #expect(stream.indices.load32(at: 3084) == 7)
    #expect(stream.indices.load32(at: 3080) == 5)
  }

  @Test func aFullRingTakesNoMoreUntilSomethingWasTaken() throws {
    let stream = try TestStream()
    var (producer, consumer) = (stream.producer, stream.consumer)
    let bytes = (0..<3000).map { UInt8(truncatingIfNeeded: $0) }
    #expect(try producer.put(bytes) == 2048)
    #expect(!producer.mayHaveRoom)
    #expect(!producer.isDrained)
    #expect(try producer.put(bytes, from: 2048) == 0)
    var buffer = [UInt8](repeating: 0, count: 4096)
    #expect(try consumer.take(into: &buffer, limit: 100) == 100)
    #expect(producer.mayHaveRoom)
    #expect(try producer.put(bytes, from: 2048) == 100)
    #expect(try consumer.take(into: &buffer, at: 100, limit: 4096) == 2048)
    #expect(producer.isDrained)
    #expect(!consumer.mayHaveBytes)
    #expect(Array(buffer[..<2148]) == Array(bytes[..<2148]))
  }

  @Test func theKernelIsGivenTheTwoStretchesThatWrap() throws {
    let stream = try TestStream(.console, start: UInt32.max &- 9)
    var (producer, consumer) = (stream.producer, stream.consumer)
    let room = try producer.room()
    #expect(room.byteCount == 2048)
    #expect(room.first == stream.data.vector(at: 1024 + 2038, byteCount: 10))
    #expect(room.second == stream.data.vector(at: 1024, byteCount: 2038))
    producer.advance(by: 12)
    let filled = try consumer.filled()
    #expect((filled.first.byteCount, filled.second.byteCount) == (10, 2))
    consumer.advance(by: 11)
    #expect(try consumer.filled().byteCount == 1)
    #expect(stream.indices.load32(at: 3080) == 1)
  }

  @Test func copiesToAndFromPrivateMemoryWrapToo() throws {
    let stream = try TestStream(.console, start: UInt32.max &- 99)
    var (producer, consumer) = (stream.producer, stream.consumer)
    let memory = try SharedRegion(anonymousByteCount: 4096).bytes
    for index in 0..<200 { memory.store8(UInt8(index), at: 8 + index) }
    #expect(try producer.put(memory, at: 8, byteCount: 200) == 200)
    #expect(try consumer.take(to: memory, at: 1000, limit: 300) == 200)
    #expect(memory.copyOut(at: 1000, byteCount: 200) == (0..<200).map { UInt8($0) })
  }

  @Test func anEndThatIsMadeAnewGoesOnWhereTheRingIs() throws {
    let stream = try TestStream(start: 77)
    var producer = stream.producer
    #expect(try producer.put([1, 2, 3]) == 3)
    var consumer = stream.consumer
    var buffer = [UInt8](repeating: 0, count: 1)
    #expect(try consumer.take(into: &buffer, limit: 1) == 1)
    var next = stream.consumer
    var again = stream.producer
    #expect(try next.take(into: &buffer, limit: 1) == 1)
    #expect(buffer == [2])
    #expect(try again.freeCount() == 2048 - 1)
  }

  @Test(arguments: ByteStreamLayout.samples, [0, 1, 2047, UInt32.max &- 3000, UInt32.max] as [UInt32])
  func bytesComeOutAsTheyWentInWhateverTheIndicesBeginWith(layout: ByteStreamLayout, start: UInt32) throws {
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    let stream = try TestStream(layout, start: start)
    var (producer, consumer) = (stream.producer, stream.consumer)
    let scratch = try SharedRegion(anonymousByteCount: 1 << 15).bytes
    // The reference model: what is in the ring.
    var queue: [UInt8] = []
    var next: UInt8 = 0
    for _ in 0..<600 {
      let size = Int.random(in: 0...layout.byteCount + 100, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0, 1:
        let bytes = (0..<size).map { _ -> UInt8 in
          next &+= 1
          return next
        }
        let from = Int.random(in: 0...bytes.count, using: &random)
        let count = try producer.put(bytes, from: from)
        try #require(count == min(bytes.count - from, layout.byteCount - queue.count), "seed \(seed)")
        queue += bytes[from..<from + count]
      case 2:
        // As the kernel does: write into the room, then give a part of it.
        let room = try producer.room()
        try #require(room.byteCount == layout.byteCount - queue.count, "seed \(seed)")
        let count = min(size, room.byteCount)
        for index in 0..<count {
          next &+= 1
          let place = (UInt32(truncatingIfNeeded: queueEnd(stream)) &+ UInt32(index)) & UInt32(layout.byteCount - 1)
          stream.data.store8(next, at: layout.dataOffset + Int(place))
          queue.append(next)
        }
        producer.advance(by: count)
      case 3:
        let count = try consumer.take(to: scratch, at: 0, limit: size)
        try #require(count == min(size, queue.count), "seed \(seed)")
        try #require(scratch.copyOut(at: 0, byteCount: count) == Array(queue[..<count]), "seed \(seed)")
        queue.removeFirst(count)
      case 4:
        let filled = try consumer.filled()
        try #require(filled.byteCount == queue.count, "seed \(seed)")
        let count = min(size, filled.byteCount)
        consumer.advance(by: count)
        queue.removeFirst(count)
      default:
        var buffer = [UInt8](repeating: 0, count: size)
        let count = try consumer.take(into: &buffer, limit: size)
        try #require(count == min(size, queue.count), "seed \(seed)")
        try #require(Array(buffer[..<count]) == Array(queue[..<count]), "seed \(seed)")
        queue.removeFirst(count)
      }
    }
  }

  private func queueEnd(_ stream: TestStream) -> UInt32 { stream.indices.load32(at: stream.layout.producerOffset) }

  /// Both ends at once, across the wrap of the indices. A byte that is lost, doubled or seen too early changes the sequence.
  @Test(.timeLimit(.minutes(5)), arguments: ByteStreamLayout.samples)
  func twoThreadsSeeTheSameBytes(layout: ByteStreamLayout) throws {
    let total = layout.byteCount == 1 ? 20_000 : 2_000_000
    let stream = try TestStream(layout, start: UInt32.max &- UInt32(total / 2))
    let sender = TestThread {
      var producer = stream.producer
      var sent = 0
      let pattern = (0..<4096 + 251).map { UInt8($0 % 251) }
      while sent < total {
        let from = sent % 251
        let count = (try? producer.put(Array(pattern[from..<from + min(4096, total - sent)]))) ?? 0
        if count == 0 { SystemThread.yield() }
        sent += count
      }
    }
    var consumer = stream.consumer
    var buffer = [UInt8](repeating: 0, count: 3000)
    var received = 0
    var wrong = 0
    while received < total {
      let count = try consumer.take(into: &buffer, limit: buffer.count)
      for index in 0..<count where buffer[index] != UInt8((received + index) % 251) { wrong += 1 }
      received += count
      if count == 0 { SystemThread.yield() }
    }
    sender.join()
    #expect(wrong == 0)
    #expect(try consumer.available() == 0)
  }
}
