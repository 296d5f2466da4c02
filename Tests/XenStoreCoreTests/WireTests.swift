import Testing
import XenInterface
import XenStoreWire

@Suite struct WireTests {
  private let packets = [
    XenStorePacket(.read, requestID: 1, transactionID: 2, strings: ["/a"]),
    XenStorePacket(rawType: 0xDEAD_BEEF, requestID: .max, transactionID: 0x0102_0304, payload: []),
    XenStorePacket(.write, payload: [UInt8](repeating: 7, count: 4096)),
    XenStorePacket(.watchEvent, strings: ["device/vbd", "token"]),
  ]

  @Test func aPacketIsAHeaderOfFourLittleEndianWordsAndItsPayload() {
    let packet = XenStorePacket(rawType: 0x0403_0201, requestID: 0x0807_0605, transactionID: 0x0C0B_0A09, payload: [0xAA, 0xBB])
    #expect(packet.encoded == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 2, 0, 0, 0, 0xAA, 0xBB])
    #expect(Array(packet.encoded.prefix(16)) == WireBytes(packet.header).bytes)
  }

  @Test(arguments: [1, 2, 15, 16, 17, 100, 10_000])
  func packetsComeOutOfAStreamCutAnywhere(chunkByteCount: Int) {
    let stream = packets.flatMap(\.encoded)
    var parser = XenStorePacketParser()
    var found: [XenStorePacket] = []
    for start in stride(from: 0, to: stream.count, by: chunkByteCount) {
      parser.feed(Array(stream[start..<min(start + chunkByteCount, stream.count)]))
      while case .packet(let packet) = parser.next() { found.append(packet) }
    }
    #expect(found == packets)
    #expect(parser.bufferedByteCount == 0)
    #expect(parser.next() == .needsMoreBytes)
  }

  @Test func nothingBehindAnOversizedPacketIsBelieved() {
    var parser = XenStorePacketParser()
    let good = packets[0].encoded
    parser.feed(good + good.prefix(12) + [0x01, 0x10, 0, 0] + good)
    #expect(parser.next() == .packet(packets[0]))
    #expect(parser.next() == .violation(payloadByteCount: 4097))
    parser.feed(good)
    #expect(parser.next() == .violation(payloadByteCount: 4097))
    #expect(parser.bufferedByteCount == 0)
  }

  @Test(arguments: XenStoreError.allCases)
  func anErrorTravelsAsItsName(error: XenStoreError) {
    #expect(error.payload == Array(error.errnoName.utf8) + [0])
    #expect(XenStoreError(payload: error.payload) == error)
  }

  @Test func anErrorThatTheProtocolDoesNotHaveIsNone() {
    #expect(XenStoreError(payload: Array("EQUOTA".utf8) + [0]) == nil)
    #expect(XenStoreError(payload: Array("ENOENT".utf8)) == nil)
  }

  @Test(arguments: ["n0", "r1", "w65535", "b7"])
  func aPermissionHasOneTextForm(text: String) throws {
    #expect(try #require(XenStorePermission(text: Array(text.utf8))).description == text)
  }

  @Test(arguments: ["", "n", "x1", "n65536", "n-1", "n1x", "1", "N1", "n 1"])
  func anythingElseIsNoPermission(text: String) {
    #expect(XenStorePermission(text: Array(text.utf8)) == nil)
  }

  @Test func aPermissionListIsReadAndWritten() {
    let list = [XenStorePermission(.control, .none), XenStorePermission(DomainID(rawValue: 5), .readWrite)]
    #expect(list.payload == Array("n0\0b5\0".utf8))
    #expect([XenStorePermission](payload: list.payload) == list)
    #expect([XenStorePermission](payload: []) == nil)
    #expect([XenStorePermission](payload: Array("n0\0b5".utf8)) == nil)
    #expect([XenStorePermission](payload: Array("n0\0\0".utf8)) == nil)
  }

  @Test func stringsOfAPayloadAreToldApart() {
    #expect(XenStorePayload.strings([])?.isEmpty == true)
    #expect(XenStorePayload.strings([0])?.map(Array.init) == [[]])
    #expect(XenStorePayload.strings(Array("a\0\0b\0".utf8))?.map(Array.init) == [[97], [], [98]])
    #expect(XenStorePayload.strings(Array("a\0b".utf8)) == nil)
    #expect(XenStorePayload.onlyString(Array("a\0b\0".utf8)) == nil)
  }
}
