@testable import NetFront
import NetInterface
import NetPackets
import SharedMemory
import Testing
import XenInterface

@Suite struct FrontTransmitTests {
  @Test(arguments: [14, 60, 1514, 4096, 4097, 9000, 65_535])
  func aFrameArrivesAsItWasSent(byteCount: Int) throws {
    let system = try FrontSystem()
    let bytes = pattern(byteCount)
    #expect(system.send(bytes) == .sent)
    let slots = try system.back.takeSlots()
    #expect(Int(slots[0].byteCount) == byteCount, "the first slot says the size of the whole")
    var left = byteCount - slots.dropFirst().reduce(0) { $0 + Int($1.byteCount) }
    var arrived: [UInt8] = []
    for (index, slot) in slots.enumerated() {
      let count = index == 0 ? left : Int(slot.byteCount)
      arrived += try system.back.bytes(slot.grantReference, Int(slot.offset), count)
      left -= index == 0 ? left : 0
    }
    #expect(arrived == bytes)
    for slot in slots { system.back.answer(slot.identifier) }
    system.turn()
    #expect(system.plane.counters.transmittedFrames == 1 && system.faults.isEmpty)
    system.finish()
  }

  @Test func whatIsLeftToDoIsOnTheRing() throws {
    let system = try FrontSystem()
    var offload = FrameOffload()
    offload.needsChecksum = true
    offload.segmentation = .tcpv4
    offload.segmentByteCount = 1448
    #expect(system.send(pattern(9000), offload: offload) == .sent)
    let slots = try system.back.takeSlots()
    #expect(slots.count == 4, "three pages and an extra info")
    #expect(NetifTransmitFlags(rawValue: slots[0].flags).isSuperset(of: [.checksumBlank, .extraInfo, .moreData]))
    let extra = NetifExtraSegmentation(slot: NetifExtraInfo(slot: slots[1]))
    #expect(extra.segmentByteCount == 1448 && extra.segmentationType == NetifSegmentationType.tcpv4.rawValue)
    system.back.answer(slots[0].identifier)
    system.back.answer(0, .null)
    system.back.answer(slots[2].identifier)
    system.back.answer(slots[3].identifier)
    system.turn()
    #expect(system.faults.isEmpty)
    system.finish()
  }

  @Test func theBackEndCannotWriteWhatIsSent() throws {
    let system = try FrontSystem()
    system.send(pattern(100))
    let slot = try system.back.takeSlots()[0]
    #expect(!system.back.mayWrite(slot.grantReference))
    system.finish()
  }

  @Test func aFullRingIsSaidAndGoesOnWhenThereIsRoom() throws {
    let system = try FrontSystem()
    var sent = 0
    while system.send(pattern(64)) == .sent { sent += 1 }
    #expect(sent == 256)
    let ready = system.client.readyCount
    let slots = try system.back.takeSlots()
    system.back.answer(slots[5].identifier)
    system.turn()
    #expect(system.client.readyCount == ready + 1)
    #expect(system.send(pattern(64)) == .sent && system.send(pattern(64)) == .full)
    system.finish()
  }

  @Test func whatTheBackEndDoesNotTakeIsRefused() throws {
    let system = try FrontSystem(capabilities: [])
    #expect(system.send(pattern(13)) == .refused)
    #expect(system.send(pattern(4097)) == .refused)
    var offload = FrameOffload()
    offload.needsChecksum = true
    #expect(system.send(pattern(100), offload: offload) == .refused)
    #expect(system.send(pattern(4096)) == .sent)
    #expect(system.plane.counters.transmitRefusals == 3)
    system.finish()
    let all = try FrontSystem()
    #expect(all.send(pattern(65_536)) == .refused)
    all.finish()
  }

  @Test func queuesAreApart() throws {
    let system = try FrontSystem(queueCount: 3, split: false)
    for queue in 0..<3 { #expect(system.send(pattern(64 + queue), queue: queue) == .sent) }
    #expect(system.send(pattern(64), queue: 3) == .refused)
    #expect(try system.backs.map { try $0.takeSlots().map { Int($0.byteCount) } } == [[64], [65], [66]])
    system.finish()
  }

  // MARK: A back-end that lies

  @Test(arguments: [0, 5, 319, 320, 65_535] as [UInt16])
  func anAnswerToARequestThatIsNotInFlightEndsTheConnection(identifier: UInt16) throws {
    let system = try FrontSystem()
    system.send(pattern(64))
    let slot = try system.back.takeSlots()[0]
    // Whatever page is in flight, this is another one.
    let wrong = identifier == slot.identifier ? identifier ^ 1 : identifier
    system.back.answer(wrong)
    system.turn()
    #expect(system.faults == [.unknownIdentifier(wrong)])
    #expect(system.send(pattern(64)) == .refused && system.client.links.last == false)
    system.finish()
  }

  @Test func aSecondAnswerToTheSameRequestEndsTheConnection() throws {
    let system = try FrontSystem()
    for _ in 0..<2 { system.send(pattern(64)) }
    let slots = try system.back.takeSlots()
    for _ in 0..<2 { system.back.answer(slots[0].identifier) }
    system.turn()
    #expect(system.faults == [.unknownIdentifier(slots[0].identifier)])
    system.finish()
  }

  @Test func moreNullAnswersThanExtraInfosEndTheConnection() throws {
    let system = try FrontSystem()
    system.send(pattern(64))
    _ = try system.back.takeSlots()
    system.back.answer(0, .null)
    system.turn()
    #expect(system.faults == [.unaskedNull])
    system.finish()
  }

  @Test(arguments: [2, 256, 1 << 20, 1 << 31] as [UInt32])
  func anImpossibleProducerEndsTheConnection(ahead: UInt32) throws {
    for isTransmit in [true, false] {
      let system = try FrontSystem()
      system.send(pattern(64))
      let memory = isTransmit ? system.back.transmitMemory : system.back.receiveMemory
      // rsp_prod of struct netif_tx_sring, netif_rx_sring.
      memory.storeRelease32(isTransmit ? ahead : ahead &+ 256, at: 8)
      system.turn()
      #expect(system.faults.count == 1)
      system.finish()
    }
  }

  /// XSA-396: a page that the back-end still has mapped is never used for anything else.
  @Test func aPageThatIsStillMappedIsGivenUp() throws {
    let system = try FrontSystem()
    system.send(pattern(64))
    let slot = try system.back.takeSlots()[0]
    let page = try system.back.mapForEver(slot.grantReference)
    system.back.answer(slot.identifier)
    system.turn()
    let back = system.back
    system.finish(stillMapped: 1)
    back.giveBack(page)
    #expect(system.plane.counters.quarantinedPages == 1)
  }
}
