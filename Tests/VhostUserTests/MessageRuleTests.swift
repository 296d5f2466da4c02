import Testing

@testable import VhostUser

/// The form of every message, against the sizes that the specification's structures have.
struct MessageRuleTests {
  /// Payload bytes that are possible, and descriptors.
  private static let forms: [VhostUserRequest: (payload: Set<Int>, descriptors: ClosedRange<Int>)] = {
    let vringState = 8, vringAddress = 40, region = 32
    var forms: [VhostUserRequest: (Set<Int>, ClosedRange<Int>)] = [:]
    for request in [.getFeatures, .getProtocolFeatures, .getQueueNumber, .setOwner, .resetOwner, .resetDevice, .getMaximumMemorySlots, .getStatus] as [VhostUserRequest] {
      forms[request] = ([0], 0...0)
    }
    for request in [.setFeatures, .setProtocolFeatures, .sendRARP, .setMTU, .setStatus] as [VhostUserRequest] { forms[request] = ([8], 0...0) }
    for request in [.setVringNumber, .setVringBase, .getVringBase, .setVringEnable] as [VhostUserRequest] { forms[request] = ([vringState], 0...0) }
    for request in [.setVringKick, .setVringCall, .setVringError] as [VhostUserRequest] { forms[request] = ([8], 0...1) }
    for request in [.setLogDescriptor, .setBackendChannel] as [VhostUserRequest] { forms[request] = ([0], 1...1) }
    forms[.setVringAddress] = ([vringAddress], 0...0)
    forms[.setLogBase] = ([16], 1...1)
    forms[.setMemoryTable] = (Set(8...8 + 8 * region), 0...8)
    forms[.addMemoryRegion] = ([8 + region], 1...1)
    forms[.removeMemoryRegion] = ([8 + region], 0...1)
    forms[.getConfiguration] = (Set(12...268), 0...0)
    forms[.setConfiguration] = (Set(12...268), 0...0)
    forms[.getInflightDescriptor] = (Set(20...24), 0...0)
    forms[.setInflightDescriptor] = (Set(20...24), 1...1)
    return forms
  }()

  private static let everything = VhostUserFeatures(rawValue: .max)

  private func takes(_ request: VhostUserRequest, byteCount: Int, descriptorCount: Int, negotiated: VhostUserFeatures) -> Bool {
    do throws(VhostUserError) {
      try MessageRule.rule(of: request).check(request, payloadByteCount: byteCount, descriptorCount: descriptorCount, negotiated: negotiated)
      return true
    } catch { return false }
  }

  @Test(arguments: VhostUserRequest.allCases)
  func takesTheSizesOfTheSpecificationAndNoOthers(request: VhostUserRequest) throws {
    let form = try #require(Self.forms[request])
    for byteCount in 0...600 {
      for descriptorCount in 0...9 {
        let isPossible = form.payload.contains(byteCount) && form.descriptors.contains(descriptorCount)
        let taken = takes(request, byteCount: byteCount, descriptorCount: descriptorCount, negotiated: Self.everything)
        #expect(taken == isPossible, "\(byteCount) bytes, \(descriptorCount) descriptors")
      }
    }
  }

  @Test func namesTheMessageAndWhatIsWrong() {
    #expect(throws: VhostUserError(.setFeatures, "its payload has 7 bytes, expected 8")) {
      try MessageRule.rule(of: .setFeatures).check(.setFeatures, payloadByteCount: 7, descriptorCount: 0, negotiated: [])
    }
    #expect(throws: VhostUserError(.setVringKick, "it came with 2 descriptors, expected 0 to 1")) {
      try MessageRule.rule(of: .setVringKick).check(.setVringKick, payloadByteCount: 8, descriptorCount: 2, negotiated: [])
    }
  }

  @Test func everyMessageOfAProtocolFeatureNeedsJustThatFeature() {
    let needs: [VhostUserRequest: VhostUserFeatures] = [
      .setLogBase: .logSharedMemory, .sendRARP: .rarp, .setMTU: .mtu, .setBackendChannel: .backendChannel, .getConfiguration: .configuration,
      .setConfiguration: .configuration, .getInflightDescriptor: .inflight, .setInflightDescriptor: .inflight, .resetDevice: .resetDevice,
      .getMaximumMemorySlots: .memorySlots, .addMemoryRegion: .memorySlots, .removeMemoryRegion: .memorySlots, .setStatus: .status, .getStatus: .status,
    ]
    for request in VhostUserRequest.allCases {
      guard let form = Self.forms[request] else { continue }
      for bit in 0..<17 {
        let without = Self.everything.subtracting(VhostUserFeatures(rawValue: 1 << bit))
        let isPossible = needs[request] != VhostUserFeatures(rawValue: 1 << bit)
        let taken = takes(
          request, byteCount: form.payload.max() ?? 0, descriptorCount: form.descriptors.upperBound, negotiated: without)
        #expect(taken == isPossible, "\(request) without protocol feature \(bit)")
      }
    }
  }
}
