import NetInterface
import Testing
import XenInterface

/// Control requests, as an honest and as a hostile front-end writes them.
@Suite struct ControlRequestTests {
  private let limits = NetControlLimits(queueCount: 4, hashMappingEntryCount: 100)

  private func message(_ type: UInt16, _ first: UInt32 = 0, _ second: UInt32 = 0, _ third: UInt32 = 0) -> NetifControlRequest {
    var request = NetifControlRequest()
    request.identifier = 7
    request.type = type
    request.setData(first, at: 0)
    request.setData(second, at: 1)
    request.setData(third, at: 2)
    return request
  }

  private func refusal(_ type: NetifControlType, _ first: UInt32 = 0, _ second: UInt32 = 0, _ third: UInt32 = 0) -> NetifControlStatus? {
    do throws(NetControlRefusal) {
      _ = try NetControlRequest(checking: message(type.rawValue, first, second, third), limits)
      return nil
    } catch {
      return error.status
    }
  }

  @Test func everyRequestIsReadAsItWasWritten() throws {
    let grant = GrantReference(rawValue: 0xffff_ffff)
    let requests: [NetControlRequest] = [
      .hashTypes, .setHashTypes([.ipv4, .ipv6TCP]), .setHashTypes([]), .setHashKey(grant, byteCount: 40), .setHashKey(grant, byteCount: 0),
      .hashMappingSize, .setHashMappingSize(entryCount: 128), .setHashMapping(grant, entryCount: 60, firstEntry: 40),
      .setHashMapping(grant, entryCount: 0, firstEntry: 100), .setHashAlgorithm(.toeplitz), .setHashAlgorithm(.none),
      .grantMappingSize(queue: 3), .addGrantMappings(queue: 0, grant, entryCount: 512), .removeGrantMappings(queue: 3, grant, entryCount: 1),
    ]
    for request in requests {
      let message = request.message(identifier: 0xfffe)
      #expect(message.identifier == 0xfffe)
      #expect(try NetControlRequest(checking: message, limits) == request)
    }
    #expect(Set(requests.map { $0.message(identifier: 0).type }) == Set(1...10))
  }

  @Test(arguments: [0, 11, 65535] as [UInt16])
  func anUnknownRequestIsNotSupported(type: UInt16) {
    #expect(throws: NetControlRefusal(.notSupported)) { try NetControlRequest(checking: message(type), limits) }
  }

  @Test(arguments: [(101, 0), (100, 1), (1, 100), (0xffff_ffff, 2), (2, 0xffff_ffff), (0xffff_ffff, 0xffff_ffff), (0x8000_0000, 0x8000_0000), (0, 101)] as [(UInt32, UInt32)])
  func aPartOfTheMappingBeyondItsEndIsRefused(count: UInt32, first: UInt32) {
    #expect(refusal(.setHashMapping, 1, count, first) == .invalidParameter)
  }

  @Test func aPartOfTheMappingLargerThanAPageIsRefused() {
    let large = NetControlLimits(queueCount: 1, hashMappingEntryCount: 2000)
    #expect(throws: NetControlRefusal(.invalidParameter)) { try NetControlRequest(checking: message(6, 1, 1025, 0), large) }
    #expect(throws: Never.self) { try NetControlRequest(checking: message(6, 1, 1024, 976), large) }
  }

  @Test func valuesBeyondTheLimitsAreRefused() {
    #expect(refusal(.setHashKey, 1, 41) == .bufferOverflow)
    #expect(refusal(.setHashKey, 1, 0xffff_ffff) == .bufferOverflow)
    #expect(refusal(.setHashMappingSize, 129) == .invalidParameter)
    #expect(refusal(.setHashMappingSize, 0xffff_ffff) == .invalidParameter)
    #expect(refusal(.setHashFlags, 16) == .invalidParameter)
    #expect(refusal(.setHashFlags, 0xffff_ffff) == .invalidParameter)
    #expect(refusal(.setHashAlgorithm, 2) == .invalidParameter)
    #expect(refusal(.setHashAlgorithm, 256) == .invalidParameter)
    #expect(refusal(.setHashAlgorithm, 257) == .invalidParameter)
    for type in [NetifControlType.getGrantMappingSize, .addGrantMapping, .removeGrantMapping] {
      #expect(refusal(type, 4) == .invalidParameter)
      #expect(refusal(type, 0xffff_ffff) == .invalidParameter)
    }
    #expect(refusal(.addGrantMapping, 0, 1, 513) == .invalidParameter)
    #expect(refusal(.removeGrantMapping, 0, 1, 0xffff_ffff) == .invalidParameter)
  }

  @Test func anAnswerNamesItsRequest() {
    let answer = NetifControlResponse(to: message(8, 1), .success, data: 512)
    #expect(answer.identifier == 7)
    #expect(answer.type == 8)
    #expect(answer.outcome == .success)
    #expect(answer.data == 512)
    var unknown = answer
    unknown.status = 4
    #expect(unknown.outcome == nil)
  }
}
