import Testing
import XenInterface

@Suite struct NetifSlotTests {
  private var segmentation: NetifExtraInfo {
    var extra = NetifExtraSegmentation()
    extra.type = NetifExtraType.segmentation.rawValue
    extra.flags = NetifExtraFlags.more.rawValue
    extra.segmentByteCount = 0x1234
    extra.segmentationType = NetifSegmentationType.tcpv6.rawValue
    extra.features = 0xabcd
    return NetifExtraInfo(extra)
  }

  @Test func anExtraInfoSurvivesATransmitSlot() {
    let slot = NetifTransmitRequest(segmentation)
    #expect(NetifExtraInfo(slot: slot) == segmentation)
    #expect(WireBytes(slot).bytes == WireBytes(segmentation).bytes + [0, 0, 0, 0])
  }

  @Test func anExtraInfoSurvivesAReceiveSlot() {
    let slot = NetifReceiveResponse(segmentation)
    #expect(NetifExtraInfo(slot: slot) == segmentation)
    #expect(WireBytes(slot).bytes == WireBytes(segmentation).bytes)
  }

  @Test func aSlotThatHoldsAnExtraInfoReadsAsTheHeaderPlacesIt() {
    let bytes = WireBytes([4, 1, 3, 1, 0x78, 0xc1, 0xcc, 0x51, 0xff, 0xff, 0xff, 0xff])
    let extra = NetifExtraHash(slot: NetifExtraInfo(slot: NetifTransmitRequest(copying: bytes, at: 0)))
    #expect(extra.type == NetifExtraType.hash.rawValue)
    #expect(extra.hashType == NetifHashType.ipv6TCP.rawValue)
    #expect(extra.algorithm == NetifHashAlgorithm.toeplitz.rawValue)
    #expect(extra.value == 0x51cc_c178)
  }

  @Test func theFirstTwoFlagsOfTheDirectionsAreTheOtherWayRound() {
    #expect(NetifTransmitFlags.checksumBlank.rawValue == NetifReceiveFlags.dataValidated.rawValue)
    #expect(NetifTransmitFlags.dataValidated.rawValue == NetifReceiveFlags.checksumBlank.rawValue)
  }
}
