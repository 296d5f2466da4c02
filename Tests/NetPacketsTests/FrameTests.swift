import NetPackets
import SharedMemory
import Testing

@Suite struct FrameTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func aCopyIsWhatThePiecesHold(seed: UInt64) throws {
    var random = Seeded(state: seed)
    let memory = try SharedRegion(anonymousByteCount: 1 << 17).bytes
    for index in 0..<(1 << 17) { memory.store8(UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8), at: index) }
    let frame = Frame(index: 0, head: try SharedRegion(anonymousByteCount: 4096).bytes)
    let target = try SharedRegion(anonymousByteCount: 1 << 17).bytes
    for _ in 0..<300 {
      let head = Int(random.next() % 257)
      frame.reset(headByteCount: head)
      var model = (0..<head).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      frame.head.copyIn(model, at: 0)
      for _ in 0..<Int(random.next() % 20) {
        let count = Int(random.next() % 4097)
        let offset = Int(random.next() % UInt64((1 << 17) - count))
        frame.append(memory.vector(at: offset, byteCount: count))
        model += memory.copyOut(at: offset, byteCount: count)
      }
      #expect(frame.byteCount == model.count, "seed \(seed)")
      guard !model.isEmpty else { continue }
      let start = Int(random.next() % UInt64(model.count))
      let count = Int(random.next() % UInt64(model.count - start + 1))
      frame.copy(from: start, byteCount: count, to: target, at: 5)
      #expect(target.copyOut(at: 5, byteCount: count) == Array(model[start..<start + count]), "seed \(seed)")
      frame.copy(from: start, to: target.vector(at: 9, byteCount: count))
      #expect(target.copyOut(at: 9, byteCount: count) == Array(model[start..<start + count]), "seed \(seed)")
    }
  }

  /// XSA-448: a piece of no bytes has no address that anybody may look at.
  @Test func anEmptyPieceIsLeftOut() {
    let frame = Frame.made([1, 2, 3])
    frame.append(SharedVector(address: 0, byteCount: 0))
    #expect(frame.pieceCount == 0 && frame.byteCount == 3)
  }

  @Test func aTagIsPutInAndTakenOut() throws {
    let plain = Frame.made(ethernet() + ipv4(6) + tcp())
    plain.offload.needsChecksum = true
    #expect(plain.locateChecksum() && plain.vlanTag == nil)
    let tagged = Frame(index: 1, head: try SharedRegion(anonymousByteCount: 4096).bytes)
    tagged.copy(plain, tag: 42)
    #expect(tagged.vlanTag == 42 && tagged.byteCount == plain.byteCount + 4 && tagged.offload.checksumStart == 38)
    #expect(FrameHeaders(of: tagged).transport == .tcp)
    let again = Frame(index: 2, head: try SharedRegion(anonymousByteCount: 4096).bytes)
    again.copy(tagged, tag: nil)
    #expect(again.head.copyOut(at: 0, byteCount: again.byteCount) == plain.head.copyOut(at: 0, byteCount: plain.byteCount))
    #expect(again.offload == plain.offload)
    again.copy(tagged, tag: 7)
    #expect(again.vlanTag == 7 && again.byteCount == tagged.byteCount)
  }

  @Test func addressesAreReadAndWrittenAsTheStoreHasThem() {
    #expect(MACAddress("00:16:3e:a:0B:ff")?.description == "00:16:3e:0a:0b:ff")
    for text in ["", "00:16:3e:00:00", "00:16:3e:00:00:000", "00:16:3e:00:00:gg", "00-16-3e-00-00-00", ":::::", "+1:00:00:00:00:00"] {
      #expect(MACAddress(text) == nil, "\(text)")
    }
    #expect(MACAddress.broadcast.isMulticast && !MACAddress.generated().isMulticast)
    #expect(MACAddress.generated().description.hasPrefix("00:16:3e:"))
  }
}
