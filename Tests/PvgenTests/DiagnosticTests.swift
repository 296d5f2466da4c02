import Testing

@testable import pvgen

@Suite struct DiagnosticTests {
  @Test func theSampleIsValid() {
    #expect(mistakes() == [])
  }

  @Test func brokenYAMLIsReportedWithItsLine() {
    let found = mistakes(in: "protocol: a\ntitle: [b\nsummary: c\n")
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix("p.yaml:3: not valid YAML: ") == true, "\(found)")
  }

  @Test func anEmptyFileIsReported() {
    #expect(mistakes(in: "") == ["p.yaml:1: the file is empty"])
  }

  @Test func aMisspeltKeyIsReportedWithItsLineAndTheKnownOnes() {
    #expect(
      mistakes(replacing: "name: most, value", with: "name: most, valeu")
        == ["p.yaml:10: unknown key 'valeu' in a value; known: abi, c, doc, name, unchecked, value"])
  }

  @Test func aMissingEntryIsReportedWithTheLineOfItsOwner() {
    #expect(mistakes(replacing: "title: A sample\n", with: "") == ["p.yaml:1: a protocol needs 'title'"])
    #expect(mistakes(replacing: "value: 1, c: SAMPLE_PUT", with: "c: SAMPLE_PUT") == ["p.yaml:17: a value needs 'value'"])
  }

  @Test func aKeyThatIsThereTwiceIsReported() {
    #expect(
      mistakes(replacing: "title: A sample", with: "title: A sample\ntitle: Again").map { $0.contains("duplicated key") } == [true])
  }

  @Test(arguments: ["x", "1.5", "0x", "- 1", "--1", "1_000"])
  func aNumberThatIsNoneIsReported(text: String) {
    #expect(
      mistakes(replacing: "value: 4", with: "value: '\(text)'")
        == ["p.yaml:10: 'value' of a value must be a whole number, found '\(text)'"])
  }

  @Test func anUnknownWordIsReportedWithTheKnownOnes() {
    #expect(
      mistakes(replacing: "writer: toolstack", with: "writer: nobody")
        == ["p.yaml:50: 'writer' of a store key is 'nobody'; known: frontend, backend, toolstack, hotplug"])
  }

  @Test func anUnknownFieldTypeIsReported() {
    let found = mistakes(replacing: "type: u64", with: "type: u65")
    #expect(found.first?.hasPrefix("p.yaml:38: unknown type 'u65' of field 'place'; known: u8, ") == true, "\(found)")
  }

  @Test func overlappingFieldsAreReportedForTheirABI() {
    #expect(
      mistakes(replacing: "offset: {x86_64: 4, x86_32: 12}", with: "offset: {x86_64: 4, x86_32: 8}")
        == ["p.yaml:38: x86_32: field 'place' at 4..<12 overlaps 'reference' at 8..<12"])
  }

  @Test func aFieldBehindTheEndIsReported() {
    #expect(
      mistakes(replacing: "size: 16", with: "size: {x86_64: 16, x86_32: 12}")
        == ["p.yaml:37: x86_32: field 'reference' ends at 16, after the record's 12 bytes"])
  }

  @Test func aMisalignedFieldIsReported() {
    #expect(
      mistakes(replacing: "offset: {x86_64: 8, x86_32: 4}", with: "offset: {x86_64: 12, x86_32: 4}").first
        == "p.yaml:38: x86_64: field 'place' ends at 20, after the record's 16 bytes")
    #expect(
      mistakes(replacing: "offset: {x86_64: 4, x86_32: 12}", with: "offset: {x86_64: 5, x86_32: 12}").first
        == "p.yaml:37: x86_64: offset 5 of field 'reference' is not a multiple of 4")
  }

  @Test func aMissingOffsetIsReported() {
    #expect(
      mistakes(replacing: "offset: {x86_64: 8, x86_32: 4}", with: "offset: {x86_64: 8}")
        == ["p.yaml:38: x86_32: field 'place' has no offset"])
  }

  @Test func anUnknownABIIsReported() {
    #expect(
      mistakes(replacing: "offset: {x86_64: 8, x86_32: 4}", with: "offset: {vax: 8}")
        == ["p.yaml:38: 'offset' of a field: unknown ABI 'vax'; known: x86_64, x86_32"])
  }

  @Test func namesThatAreUsedTwiceAreReportedWithTheFirstPlace() {
    #expect(mistakes(replacing: "name: put", with: "name: get") == ["p.yaml:17: case name 'get' is already used at p.yaml:16"])
    #expect(mistakes(replacing: "name: put, value: 1", with: "name: put, value: 0") == ["p.yaml:17: case value '0' is already used at p.yaml:16"])
    #expect(
      mistakes(replacing: "name: SampleFlags", with: "name: SampleLimits") == ["p.yaml:19: type name 'SampleLimits' is already used at p.yaml:7"])
    #expect(mistakes(replacing: "name: place", with: "name: operation") == ["p.yaml:38: field name 'operation' is already used at p.yaml:36"])
  }

  @Test func aNameThatSwiftCannotHaveIsReported() {
    #expect(
      mistakes(replacing: "name: most", with: "name: at-most") == ["p.yaml:10: constant name 'at-most' must be letters and digits, a letter first"])
  }

  @Test func aValueThatDoesNotFitItsTypeIsReported() {
    #expect(
      mistakes(replacing: "name: put, value: 1", with: "name: put, value: 256")
        == ["p.yaml:17: value 256 of 'put' does not fit u8 (0 to 255)"])
  }

  @Test func aValueThatNothingChecksIsReported() {
    #expect(
      mistakes(replacing: ", c: SAMPLE_MOST", with: "")
        == [
          "p.yaml:10: 'most' needs 'c' (an expression to check it against Xen's headers) or 'unchecked' (why there is none)"
        ])
  }

  @Test func aBadRangeOrDefaultOfAKeyIsReported() {
    #expect(mistakes(replacing: "maximum: 8", with: "maximum: 0") == ["p.yaml:49: key 'depth': minimum 1 is above maximum 0"])
    #expect(mistakes(replacing: #"default: "1""#, with: #"default: "9""#) == ["p.yaml:49: key 'depth': default 9 is outside 1 to 8"])
    #expect(
      mistakes(replacing: "maximum: 8", with: "maximum: 4294967296")
        == ["p.yaml:49: key 'depth': maximum 4294967296 does not fit the type (at most 4294967295)"])
    #expect(mistakes(replacing: "default: s", with: "default: q") == ["p.yaml:50: key 'mode': default 'q' is not in 'SampleMode'"])
  }

  @Test func aKeyThatIsNoStorePathIsReported() {
    #expect(
      mistakes(replacing: "key: depth", with: "key: /depth").first
        == "p.yaml:49: key '/depth' is not a store path: letters, digits and -/_@ only")
  }

  @Test func aRingWithoutItsMessagesIsReported() {
    #expect(mistakes(replacing: "request: SampleRequest, ", with: "") == ["p.yaml:5: a ring transport needs 'request'"])
    #expect(mistakes(replacing: "response: SampleResponse", with: "response: Other") == ["p.yaml:5: response 'Other' is not a record of this protocol"])
  }

  @Test func anOverlayThatDoesNotFitIsReported() {
    let overlay = "overlay: {record: SampleRequest, field: operation, equals: SampleOperation.put}\n    "
    #expect(
      mistakes(replacing: "size: 8\n    fields", with: "size: 8\n    " + overlay + "fields")
        == ["p.yaml:43: field 'operation' must be at the same place in 'SampleResponse' and 'SampleRequest'"])
  }

  @Test func everyMistakeIsReportedNotOnlyTheFirst() {
    let text = sampleProtocol.replacing("maximum: 8", with: "maximum: 0").replacing("value: 4", with: "value: -99999999999999999999")
    #expect(mistakes(in: text).count == 2)
  }
}
