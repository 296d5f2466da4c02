import Testing
import XenInterface

@Suite struct StoreKeyTests {
  @Test(arguments: ["", " 1", "1 ", "+1", "-1", "0x10", "1\n", "4294967296", "99999999999999999999999", "１"])
  func aNumberThatIsNotExactlyDigitsIsRefused(text: String) {
    #expect(throws: StoreKeyError.self) { try BlkifKeys.Frontend.eventChannel.parse(text) }
  }

  @Test func numbersUpToTheLargestAreRead() throws {
    #expect(try BlkifKeys.Frontend.eventChannel.parse("4294967295").rawValue == .max)
    #expect(try BlkifKeys.Backend.sectorCount.parse("18446744073709551615") == .max)
    #expect(try BlkifKeys.Backend.sectorCount.parse("007") == 7)
  }

  @Test func anErrorNamesKeyValueAndWhatWasExpected() {
    #expect(throws: StoreKeyError(key: "ring-page-order", value: "16", expected: "a decimal number from 0 to 15")) {
      try BlkifKeys.Frontend.ringPageOrder.parse("16")
    }
    let error = StoreKeyError(key: "protocol", value: "vax", expected: "one of: a, b")
    #expect("\(error)" == "protocol is 'vax', expected one of: a, b")
  }

  @Test func anErrorShowsAHostileValueShortenedAndEscaped() {
    let error = StoreKeyError(key: "mode", value: "\u{1B}[2J" + String(repeating: "x", count: 5000), expected: "one of: r, w")
    #expect("\(error)".utf8.allSatisfy { $0 >= 0x20 })
    #expect("\(error)".count < 200)
  }

  @Test func anAbsentKeyIsItsDefaultOrAnError() throws {
    #expect(try BlkifKeys.Backend.maximumQueueCount.value(of: nil) == 1)
    #expect(try BlkifKeys.Backend.discardEnable.value(of: nil) == true)
    #expect(throws: StoreKeyError(key: "sectors", value: nil, expected: "a decimal number from 0 to 18446744073709551615")) {
      try BlkifKeys.Backend.sectorCount.value(of: nil)
    }
  }

  @Test func aPresentKeyIsNeverItsDefault() throws {
    #expect(throws: StoreKeyError.self) { try BlkifKeys.Backend.maximumQueueCount.value(of: "") }
    #expect(throws: StoreKeyError.self) { try BlkifKeys.Backend.maximumQueueCount.value(of: "0") }
  }

  @Test func keysOfAQueueAndOfARingPageAreNamed() {
    #expect(BlkifKeys.Frontend.ringReference.name == "ring-ref")
    #expect(BlkifKeys.Frontend.ringReferences[3].name == "ring-ref3")
    #expect(BlkifKeys.Frontend.ringReferences[15].inQueue(12).name == "queue-12/ring-ref15")
    #expect(BlkifKeys.Frontend.eventChannel.inQueue(0).name == "queue-0/event-channel")
  }

  @Test func aKeyThatIsNotPerQueueHasNoQueue() async {
    await #expect(processExitsWith: .failure) { _ = BlkifKeys.Backend.sectorCount.inQueue(0) }
  }

  @Test func writingAValueOutOfRangeTraps() async {
    await #expect(processExitsWith: .failure) { _ = BlkifKeys.Frontend.queueCount.format(0) }
  }

  @Test func valuesAreWrittenAsXenSpellsThem() {
    #expect(BlkifKeys.Frontend.protocol.format(.x8664) == "x86_64-abi")
    #expect(BlkifKeys.Backend.info.format([.readOnly, .cdrom]) == "5")
    #expect(BlkifKeys.Backend.featurePersistent.format(true) == "1")
    #expect(BlkifKeys.Backend.physicalDevice.format(DeviceNumber(major: 259, minor: 26)) == "103:1a")
    #expect(XenbusKeys.Backend.state.format(.connected) == "4")
    #expect(BlkifKeys.Frontend.ringReference.format(GrantReference(rawValue: 8)) == "8")
  }

  @Test(arguments: ["2", "true", "yes", "00", ""])
  func aBooleanIsZeroOrOne(text: String) {
    #expect(throws: StoreKeyError.self) { try BlkifKeys.Backend.featureBarrier.parse(text) }
  }

  @Test func closedListsAreRead() throws {
    #expect(try BlkifKeys.Backend.mode.parse("w") == .readWrite)
    #expect(try BlkifKeys.Frontend.protocol.parse("x86_32-abi") == .x8632)
    #expect(throws: StoreKeyError(key: "mode", value: "rw", expected: "one of: r, w")) { try BlkifKeys.Backend.mode.parse("rw") }
  }

  @Test func unknownInfoBitsAreKept() throws {
    #expect(try BlkifKeys.Backend.info.parse("12") == VdiskInfo(rawValue: 12))
  }

  @Test func deviceNumbersAreHexadecimal() throws {
    #expect(try BlkifKeys.Backend.physicalDevice.parse("fd:1F") == DeviceNumber(major: 0xFD, minor: 0x1F))
    for text in ["fd", "fd:", ":1", "fd:1:2", "+1:2", "-1:2", "100000000:0", "g:1"] {
      #expect(throws: StoreKeyError.self) { try BlkifKeys.Backend.physicalDevice.parse(text) }
    }
  }

  @Test func bytesThatAreNotTextAreRefused() throws {
    #expect(throws: StoreKeyError.self) { try BlkifKeys.Backend.params.parse([0xFF, 0xFE]) }
    #expect(try BlkifKeys.Backend.sectorSize.parse(Array("4096".utf8)) == 4096)
  }

  @Test func aStateThatIsMissingOrNoneIsUnknown() {
    for text in [nil, "", "9", "-1", "4 ", "connected"] as [String?] { #expect(XenbusState(storeValue: text) == .unknown) }
    #expect(XenbusState(storeValue: "8") == .reconfigured)
    #expect(XenbusState(storeValue: [0xFF]) == .unknown)
    #expect(XenbusState(storeValue: Array("4".utf8)) == .connected)
  }
}
