import LinuxSystem
import SharedMemory
import SharedRing
import Testing
import XenInterface
import XenStoreRing

/// A page of this process with both ends of it.
struct TestPage {
  let bytes: SharedBytes
  let page: XenStoreRingPage

  /// All four indices begin at `start`.
  init(start: UInt32 = 0) throws {
    bytes = try SharedRegion(anonymousByteCount: XenStoreRingPage.byteCount).bytes
    page = XenStoreRingPage(bytes)
    for offset in TestPage.indexOffsets { bytes.store32(start, at: offset) }
  }

  static let indexOffsets = [
    XenStoreInterfaceLayout.requestConsumerOffset, XenStoreInterfaceLayout.requestProducerOffset,
    XenStoreInterfaceLayout.responseConsumerOffset, XenStoreInterfaceLayout.responseProducerOffset,
  ]
}

@Suite struct XenStoreRingPageTests {
  @Test func theTwoRingsAndTheirIndicesLieWhereXenPutsThem() throws {
    let test = try TestPage()
    var requests = test.page.requestProducer
    var responses = test.page.responseProducer
    #expect(try requests.put([0xA1]) == 1)
    #expect(try responses.put([0xB1, 0xB2]) == 2)
    #expect(test.bytes.load8(at: 0) == 0xA1)
    #expect(test.bytes.load8(at: 1024) == 0xB1)
    #expect(test.bytes.load32(at: 2052) == 1)
    #expect(test.bytes.load32(at: 2060) == 2)
    #expect(test.bytes.load32(at: 2048) == 0)
    #expect(test.bytes.load32(at: 2056) == 0)
  }

  @Test func restartingEmptiesTheRingsAndLetsTheGuestGoOn() throws {
    let test = try TestPage(start: 4000)
    test.page.error = XenStoreRingError.ringIndex.rawValue
    test.page.connection = .reconnect
    test.page.restart()
    for offset in TestPage.indexOffsets { #expect(test.bytes.load32(at: offset) == 0) }
    #expect(test.page.error == 0)
    #expect(test.page.connection == .connected)
  }

  @Test func aConnectionStateThatDoesNotExistIsTheSteadyOne() throws {
    let test = try TestPage()
    test.bytes.store32(0xDEAD_BEEF, at: XenStoreInterfaceLayout.connectionOffset)
    #expect(test.page.connection == .connected)
  }
}
