import NetPackets
import SharedMemory
import Testing

@Suite struct FrameBatchTests {
  private let frames = (0..<40).map { Frame.scratch(index: $0, byteCount: 256) }

  @Test func framesAreThoseOfItsPlacesAndDoneUntilSomethingElseIsSaid() {
    let batch = FrameBatch(of: FixedObjects(count: frames.count) { frames[$0] })
    #expect(batch.count == 0)
    batch.fill(3) { Int32(39 - $0) }
    #expect((0..<3).map { batch.withFrame($0) { $0.index } } == [39, 38, 37] && batch.place(2) == 37)
    #expect(!batch.isMixed && (0..<3).allSatisfy { batch.outcome($0) == .done })
    batch.setOutcome(.done, of: 1)
    #expect(!batch.isMixed)
    batch.setOutcome(.pending, of: 1)
    batch.setOutcome(.dropped, of: 2)
    #expect(batch.isMixed && (0..<3).map { batch.outcome($0) } == [.done, .pending, .dropped])
    batch.setOutcome(.done, of: 2)
    #expect(batch.outcome(2) == .done)
    batch.fill(FrameBatch.capacity) { Int32($0) }
    #expect(!batch.isMixed && (0..<FrameBatch.capacity).allSatisfy { batch.outcome($0) == .done }, "nothing is left of the last batch")
  }

  @Test func aFrameThatTheBatchDoesNotHaveIsABugOfOurs() async {
    await #expect(processExitsWith: .failure) {
      let frame = Frame.scratch(byteCount: 256)
      let batch = FrameBatch(of: FixedObjects(count: 1) { _ in frame })
      batch.fill(1) { _ in 0 }
      _ = batch.withFrame(1) { $0.index }
    }
  }
}
