import Testing
import XenInterface

/// Remembers every access, and answers each load with the number of accesses so far: a second load would show.
private final class RecordingBytes: WireSource, WireSink {
  private(set) var accesses: [Int] = []

  func loadWord64(at offset: Int) -> UInt64 {
    accesses.append(offset)
    return UInt64(accesses.count)
  }

  func loadWord32(at offset: Int) -> UInt32 {
    accesses.append(offset)
    return UInt32(accesses.count)
  }

  func storeWord64(_ word: UInt64, at offset: Int) { accesses.append(offset) }
  func storeWord32(_ word: UInt32, at offset: Int) { accesses.append(offset) }
}

@Suite struct CopyOnceTests {
  @Test func aRequestIsLoadedWordByWordOnceAndInOrder() {
    let source = RecordingBytes()
    _ = BlkifRequest(copying: source, at: 64)
    #expect(source.accesses == Array(stride(from: 64, to: 176, by: 8)))
  }

  @Test func aPackedRequestIsLoadedInAlignedWords() {
    let source = RecordingBytes()
    _ = BlkifRequestX8632(copying: source, at: 64)
    #expect(source.accesses == Array(stride(from: 64, to: 172, by: 4)))
  }

  @Test func aResponseIsStoredInFullOnceAndInOrder() {
    let sink = RecordingBytes()
    BlkifResponse().store(to: sink, at: 128)
    #expect(sink.accesses == [128, 136])
  }

  @Test func lookingAtACopyReadsNothing() {
    let source = RecordingBytes()
    let request = BlkifRequest(copying: source, at: 0)
    let loads = source.accesses.count
    _ = BlkifRequestDiscard(slot: request).sectorCount
    _ = BlkifRequestIndirect(slot: request).indirectGrantReference(at: 7)
    _ = request.segment(at: 10)
    #expect(source.accesses.count == loads)
  }

  @Test func undefinedBytesOfANewResponseAreZero() {
    var response = BlkifResponse()
    response.identifier = .max
    response.operation = .max
    response.status = -1
    #expect(WireBytes(response).bytes[9] == 0)
    #expect(Array(WireBytes(response).bytes[12...]) == [0, 0, 0, 0])
  }

  @Test func aSegmentIndexOutsideTheRequestTraps() async {
    await #expect(processExitsWith: .failure) { _ = BlkifRequest().segment(at: 11) }
    await #expect(processExitsWith: .failure) { _ = BlkifRequest().segment(at: -1) }
  }
}
