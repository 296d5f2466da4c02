import Testing
import XenInterface

@Suite struct BlkifTranslationTests {
  private var readRequest: BlkifRequest {
    var request = BlkifRequest()
    request.operation = BlkifOperation.read.rawValue
    request.segmentCount = 11
    request.handle = 0xFEDC
    request.identifier = 0x0123_4567_89AB_CDEF
    request.sectorNumber = 0xF0E1_D2C3_B4A5_9687
    for index in 0..<11 {
      var segment = BlkifSegment()
      segment.grantReference = GrantReference(rawValue: UInt32(1000 + index))
      segment.firstSector = UInt8(index % 8)
      segment.lastSector = 7
      request.setSegment(segment, at: index)
    }
    return request
  }

  @Test func aRequestSurvivesTheWayToThePackedLayoutAndBack() {
    #expect(BlkifRequest(BlkifRequestX8632(readRequest)) == readRequest)
    #expect(BlkifRequest(translating: BlkifRequestX8632(readRequest)) == readRequest)
  }

  @Test func aResponseSurvivesTheWayToThePackedLayoutAndBack() {
    var response = BlkifResponse()
    response.identifier = 0x0123_4567_89AB_CDEF
    response.operation = 6
    response.status = -2
    #expect(BlkifResponse(BlkifResponseX8632(response)) == response)
  }

  @Test func aPackedDiscardIsTranslatedByItsOperation() {
    var discard = BlkifRequestDiscardX8632()
    discard.operation = BlkifOperation.discard.rawValue
    discard.flags = BlkifDiscardFlags.secure.rawValue
    discard.identifier = 7
    discard.sectorNumber = 1 << 40
    discard.sectorCount = 1 << 41
    let slot = BlkifRequestX8632(discard)

    let translated = BlkifRequestDiscard(slot: BlkifRequest(translating: slot))
    #expect(translated == BlkifRequestDiscard(slot))
    #expect(translated.flags == 1)
    #expect(translated.identifier == 7)
    #expect(translated.sectorNumber == 1 << 40)
    #expect(translated.sectorCount == 1 << 41)
  }

  @Test func aPackedIndirectRequestIsTranslatedByItsOperation() {
    var indirect = BlkifRequestIndirectX8632()
    indirect.operation = BlkifOperation.indirect.rawValue
    indirect.indirectOperation = BlkifOperation.write.rawValue
    indirect.segmentCount = 4096
    indirect.identifier = .max
    indirect.sectorNumber = 8
    indirect.handle = 3
    for index in 0..<8 { indirect.setIndirectGrantReference(GrantReference(rawValue: UInt32(50 + index)), at: index) }
    let slot = BlkifRequestX8632(indirect)

    let translated = BlkifRequestIndirect(slot: BlkifRequest(translating: slot))
    #expect(translated == BlkifRequestIndirect(slot))
    #expect(translated.segmentCount == 4096)
    #expect(translated.handle == 3)
    #expect((0..<8).map { translated.indirectGrantReference(at: $0).rawValue } == Array(50..<58))
  }

  @Test func aMessageInASlotLeavesTheRestZero() {
    var discard = BlkifRequestDiscard()
    discard.sectorCount = .max
    let bytes = WireBytes(BlkifRequest(discard)).bytes
    #expect(bytes[24..<32].allSatisfy { $0 == 0xFF })
    #expect(bytes[32...].allSatisfy { $0 == 0 })
  }

  @Test func unknownOperationsAreKeptAsTheyAre() {
    var slot = BlkifRequestX8632(readRequest)
    slot.operation = 200
    #expect(BlkifRequest(translating: slot).operation == 200)
    #expect(BlkifOperation(rawValue: 200) == nil)
  }
}
