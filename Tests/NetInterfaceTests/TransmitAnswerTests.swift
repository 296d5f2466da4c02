import LinuxSystem
import NetInterface
import SharedMemory
import SharedRing
import Testing
import XenInterface

/// Every slot of a chain gets its response on the ring.
@Suite struct TransmitAnswerTests {
  @Test func aFullRingHoldsTheSlotsThatTheLimitsSay() throws {
    #expect(RingLayout(byteCount: 4096, entryByteCount: NetifLimits.transmitSlotByteCount).entryCount == UInt32(NetifLimits.slotsPerRing))
    #expect(RingLayout(byteCount: 4096, entryByteCount: NetifLimits.receiveSlotByteCount).entryCount == UInt32(NetifLimits.receiveSlotsPerRing))
    #expect(RingLayout(byteCount: 4096, entryByteCount: NetifLimits.controlSlotByteCount).entryCount == UInt32(NetifLimits.controlSlotsPerRing))
  }

  @Test(arguments: [0, 1, 18, 20] as [Int], [0, 1, 3] as [Int])
  func responsesToExtraInfosFollowTheFirstOne(fragmentCount: Int, extraCount: Int) throws {
    let memory = try makeRingPage()
    var front = FrontRing<NetifTransmitRequest, NetifTransmitResponse>(initializing: memory, entryByteCount: NetifLimits.transmitSlotByteCount)
    var back = try BackRing<NetifTransmitRequest, NetifTransmitResponse>(attaching: memory, entryByteCount: NetifLimits.transmitSlotByteCount)
    let extras = [NetifExtraInfo](repeating: hashExtra(), count: extraCount)
    let slots = chain(total: 60, fragments: [Int](repeating: 1, count: fragmentCount), extras: extras, identifier: 1000)
    for slot in slots { front.putRequest(slot) }
    _ = front.publishRequests()

    let assembler = TransmitAssembler()
    var progress = TransmitAssembler.Progress.incomplete
    while let slot = try back.takeRequest() { progress = try assembler.add(slot) }
    try assembler.endOfRequests()
    #expect(progress == (fragmentCount > 18 ? .rejected(.fragmentCount) : .frame))
    let answer = assembler.answer
    #expect(answer.slotCount == slots.count)
    // The answer is a copy: the next frame does not change it.
    _ = try assembler.add(request(60, identifier: 9))
    back.putResponses(to: answer, status: .error)
    let unansweredCount = back.unansweredCount
    #expect(unansweredCount == 0)
    _ = back.publishResponses()

    var responses: [NetifTransmitResponse] = []
    while let response = try front.takeResponse() { responses.append(response) }
    #expect(responses.count == slots.count)
    let requests = [responses[0]] + responses.dropFirst(1 + extraCount)
    #expect(requests.map { Int($0.identifier) } == Array(1000...1000 + fragmentCount))
    #expect(requests.allSatisfy { $0.status == NetifStatus.error.rawValue })
    #expect(responses[1..<1 + extraCount].allSatisfy { $0.status == NetifStatus.null.rawValue })
  }

  @Test func anAnswerToNothingPutsNothing() throws {
    let memory = try makeRingPage()
    _ = FrontRing<NetifTransmitRequest, NetifTransmitResponse>(initializing: memory, entryByteCount: NetifLimits.transmitSlotByteCount)
    var back = try BackRing<NetifTransmitRequest, NetifTransmitResponse>(attaching: memory, entryByteCount: NetifLimits.transmitSlotByteCount)
    back.putResponses(to: TransmitAnswer(), status: .okay)
    let isNotificationDue = back.publishResponses()
    #expect(!isNotificationDue)
  }
}

private func makeRingPage() throws -> SharedBytes {
  let file = try MemoryFile.create(name: "netif-ring", byteCount: pageByteCount)
  return try SharedRegion(mapping: file, byteCount: pageByteCount, access: .readWrite).bytes
}
