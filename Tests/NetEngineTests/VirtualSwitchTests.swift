import NetEngine
import NetPackets
import SharedMemory
import Testing

@Suite struct VirtualSwitchTests {
  let lan: VirtualSwitch

  init() throws { lan = try VirtualSwitch(name: "lan") }

  @Test func whatIsNotKnownGoesToAllAndWhatIsKnownToOne() throws {
    let guests = try [0x1, 0x2, 0x3].map { try Guest(on: lan, address: $0) }
    guests[0].send(to: 0x2)
    #expect(guests.map(\.receivedCount) == [0, 1, 1])
    guests[1].send(to: 0x1)
    #expect(guests.map(\.receivedCount) == [1, 1, 1], "0x1 was learned")
    guests[0].send(to: 0x2)
    #expect(guests.map(\.receivedCount) == [1, 2, 1])
    guests[2].send(to: 0xffff_ffff_ffff)
    #expect(guests.map(\.receivedCount) == [2, 3, 1])
    #expect(guests.map(\.client.batchCount) == [2, 3, 1], "each receiver is told once a batch")
  }

  @Test func vlansAreSeparateAndATrunkHasTags() throws {
    let ten = try [0x1, 0x2].map { try Guest(on: lan, address: $0, vlan: 10) }
    let twenty = try Guest(on: lan, address: 0x3, vlan: 20)
    let trunk = try Guest(on: lan, address: 0x4)
    ten[0].send(to: 0xffff_ffff_ffff)
    #expect(ten[1].receivedCount == 1 && twenty.receivedCount == 0 && trunk.receivedCount == 1)
    #expect(ten[1].client.received[0].count == 60 && trunk.client.received[0].count == 64)
    #expect(Array(trunk.client.received[0][12..<16]) == [0x81, 0, 0, 10])
    // From the trunk, tagged: the tag decides, and is gone on arrival.
    trunk.send(to: 0xffff_ffff_ffff, tag: 20)
    #expect(twenty.receivedCount == 1 && ten.map(\.receivedCount) == [0, 1])
    #expect(twenty.client.received[0].count == 60)
    // A guest in a VLAN cannot reach another one by a tag of its own.
    ten[0].send(to: 0xffff_ffff_ffff, tag: 20)
    #expect(twenty.receivedCount == 1 && ten[0].port.counters.wrongVLAN == 1)
  }

  @Test func aTrunkCarriesTheVLANsOfItsListOnly() throws {
    let trunk = try Guest(on: lan, address: 0x1, trunk: VLANSet("10+20-22"))
    let native = try Guest(on: lan, address: 0x2, trunk: VLANSet("20+untagged"))
    let ten = try Guest(on: lan, address: 0x3, vlan: 10)
    let thirty = try Guest(on: lan, address: 0x4, vlan: 30)
    thirty.send(to: 0xffff_ffff_ffff)
    #expect(trunk.receivedCount == 0 && native.receivedCount == 0)
    ten.send(to: 0xffff_ffff_ffff)
    #expect(trunk.receivedCount == 1 && native.receivedCount == 0)
    trunk.send(to: 0xffff_ffff_ffff, tag: 30)
    trunk.send(to: 0xffff_ffff_ffff)
    #expect(thirty.receivedCount == 0 && native.receivedCount == 0 && trunk.port.counters.wrongVLAN == 2)
    trunk.send(to: 0xffff_ffff_ffff, tag: 20)
    #expect(native.receivedCount == 1 && ten.receivedCount == 0)
    native.send(to: 0xffff_ffff_ffff)
    #expect(trunk.receivedCount == 1, "untagged frames are another network")
  }

  @Test(arguments: ["", "10+", "0", "4095", "20-10", "10-20-30", "a", "10,20", "-5"])
  func whatIsNoListOfVLANsIsNotOne(text: String) { #expect(VLANSet(text) == nil) }

  @Test func withoutLearningAddressesAreThoseOfThePorts() throws {
    let lan = try VirtualSwitch(name: "lan", learns: false)
    let uplink = RecordingPort()
    try lan.connectUplink(uplink)
    let first = try Guest(on: lan, address: 0x1, fixed: true)
    let second = try Guest(on: lan, address: 0x2, fixed: true)
    let other = try Guest(on: lan, address: 0x3, vlan: 10, fixed: true)
    first.send(to: 0x2)
    #expect(second.receivedCount == 1 && uplink.frames.isEmpty, "known without having said anything")
    first.send(to: 0x9)
    #expect(uplink.frames.count == 1 && second.receivedCount == 1 && other.receivedCount == 0, "nobody here: the uplink alone")
    first.send(to: 0x3)
    #expect(uplink.frames.count == 2 && other.receivedCount == 0, "an address of another VLAN is not here")
    first.send(to: 0xffff_ffff_ffff)
    #expect(second.receivedCount == 2 && uplink.frames.count == 3)
    // Nobody can take an address over, and one whose guest is unplugged goes nowhere.
    second.port.disconnect {}
    first.send(to: 0x2)
    #expect(uplink.frames.count == 3 && first.port.counters.unreachable == 1)
  }

  @Test func everyFrameAndItsBytesAreCountedAtBothPorts() throws {
    let first = try Guest(on: lan, address: 0x1)
    let second = try Guest(on: lan, address: 0x2)
    second.send(to: 0x1)
    for _ in 0..<3 { first.send(to: 0x2) }
    #expect(first.port.traffic?.taken == .init(frames: 3, bytes: 180) && first.port.traffic?.delivered == .init(frames: 1, bytes: 60))
    #expect(second.port.traffic?.delivered == .init(frames: 3, bytes: 180) && second.port.traffic?.drops == [:])
    second.client.outcome = .full
    first.send(to: 0x2)
    #expect(second.port.traffic?.drops == ["refused": 1])
  }

  @Test func aGuestCannotSendAsAnotherOne() throws {
    let honest = try Guest(on: lan, address: 0x1)
    let liar = try Guest(on: lan, address: 0x2, fixed: true)
    liar.send(to: 0xffff_ffff_ffff, as: 0x1)
    #expect(honest.receivedCount == 0 && liar.port.counters.spoofed == 1)
    liar.send(to: 0xffff_ffff_ffff)
    #expect(honest.receivedCount == 1)
  }

  @Test func aReceiverWithoutRoomLosesTheFrameAndNobodyElseDoes() throws {
    let sender = try Guest(on: lan, address: 0x1)
    let full = try Guest(on: lan, address: 0x2)
    let other = try Guest(on: lan, address: 0x3)
    full.client.outcome = .full
    #expect(sender.send(to: 0xffff_ffff_ffff) == "done")
    #expect(other.receivedCount == 1 && full.port.counters.refused == 1)
    full.send(to: 0x1)
    #expect(sender.send(to: 0x2) == "dropped", "for it alone")
  }

  @Test func aReceiverThatCannotCutGetsSegmentsAndOneThatCanGetsTheFrame() throws {
    let sender = try Guest(on: lan, address: 0x1)
    let plain = try Guest(on: lan, address: 0x2, accepting: .scatterGather)
    let able = try Guest(on: lan, address: 0x3)
    sender.sendLarge(payloadByteCount: 3000, segmentByteCount: 1448)
    #expect(plain.client.received.map(\.count) == [54 + 1448, 54 + 1448, 54 + 104] && able.client.received.map(\.count) == [3054])
    #expect(plain.port.counters.sent == .init(frames: 3, bytes: UInt64(54 * 3 + 3000)) && plain.port.counters.refused == 0)
    #expect(plain.client.needsChecksum == [false, false, false] && able.client.needsChecksum == [true])
    sender.sendLarge(payloadByteCount: 3000, segmentByteCount: 0)
    #expect(plain.port.counters.refused == 1 && plain.client.received.count == 3, "what cannot be cut is counted, not sent")
  }

  @Test func whoHasGoneIsForgotten() throws {
    let first = try Guest(on: lan, address: 0x1)
    let second = try Guest(on: lan, address: 0x2)
    second.send(to: 0x1)
    first.send(to: 0x2)
    #expect(second.receivedCount == 1)
    var isDone = false
    second.port.disconnect { isDone = true }
    second.port.close()
    #expect(isDone)
    let third = try Guest(on: lan, address: 0x2)
    first.send(to: 0x2)
    #expect(third.receivedCount == 1 && second.receivedCount == 1)
  }

  @Test func aKnownFlowFollowsItsReceiverToAnotherPort() throws {
    let first = try Guest(on: lan, address: 0x1)
    let second = try Guest(on: lan, address: 0x2)
    second.send(to: 0x1)
    for _ in 0..<3 { first.send(to: 0x2) }
    #expect(second.receivedCount == 3)
    let other = try Guest(on: lan, address: 0x2)
    other.send(to: 0x1)
    for _ in 0..<3 { first.send(to: 0x2) }
    #expect(other.receivedCount == 3 && second.receivedCount == 3)
    // More receivers than are remembered, in turns.
    let many = try (0..<40).map { try Guest(on: lan, address: 0x100 + UInt64($0)) }
    for guest in many { guest.send(to: 0x1) }
    let before = many.map(\.receivedCount)
    for _ in 0..<3 { for index in many.indices { first.send(to: 0x100 + UInt64(index)) } }
    #expect(zip(many, before).allSatisfy { $0.receivedCount == $1 + 3 })
  }

  @Test func aTagIsPartOfAFlow() throws {
    let trunk = try Guest(on: lan, address: 0x1)
    let ten = try Guest(on: lan, address: 0x2, vlan: 10)
    let twenty = try Guest(on: lan, address: 0x2, vlan: 20)
    ten.send(to: 0x1)
    twenty.send(to: 0x1)
    for _ in 0..<2 {
      trunk.send(to: 0x2, tag: 10)
      trunk.send(to: 0x2, tag: 20)
    }
    #expect(ten.receivedCount == 2 && twenty.receivedCount == 2)
    trunk.send(to: 0x2, tag: 30)
    #expect(ten.receivedCount == 2 && twenty.receivedCount == 2)
  }

  @Test func manyPortsComeAndGo() throws {
    var guests = try (1...100).map { try Guest(on: lan, address: UInt64($0)) }
    for guest in guests { guest.send(to: 0xffff_ffff_ffff) }
    #expect(guests.allSatisfy { $0.receivedCount == 99 })
    for number in stride(from: 99, through: 0, by: -3) {
      guests[number].port.disconnect {}
      guests.remove(at: number).port.close()
    }
    guests += try (201...250).map { try Guest(on: lan, address: UInt64($0)) }
    for guest in guests { guest.client.received = [] }
    for guest in guests { guest.send(to: 0xffff_ffff_ffff) }
    #expect(guests.allSatisfy { $0.receivedCount == guests.count - 1 })
    guests[0].send(to: 0x00fa)
    #expect(guests.map(\.receivedCount).reduce(0, +) == guests.count * (guests.count - 1) + 1)
  }

  @Test func theUplinkKeepsAFrameUntilItIsSent() throws {
    let uplink = RecordingPort()
    try lan.connectUplink(uplink)
    let guest = try Guest(on: lan, address: 0x1, vlan: 5)
    #expect(guest.send(to: 0x9) == "pending")
    #expect(uplink.frames.count == 1 && uplink.frames[0].vlanTag == 5, "the uplink is a trunk")
    #expect(uplink.batchCount == 1, "it is told of the end of a run")
    var isDone = false
    guest.port.disconnect { isDone = true }
    #expect(!isDone, "a frame of the guest is still with the uplink")
    uplink.client?.transmitted(uplink.frames[0], succeeded: true)
    #expect(isDone && guest.client.transmitted == [0])
  }

  @Test func datagramsAreForUplinksThatTakeThem() throws {
    let uplink = RecordingPort()
    let guest = try Guest(on: lan, address: 0x1)
    #expect(guest.port.capabilities == .all.union(.datagrams))
    // One that is connected while a guest may send them already.
    try lan.connectUplink(uplink)
    #expect(guest.port.capabilities == .all)
    guest.sendDatagrams(payloadByteCount: 2000, segmentByteCount: 1000)
    #expect(uplink.frames.isEmpty)
    let other = try VirtualSwitch(name: "other")
    let better = RecordingPort()
    better.takes = .datagrams
    try other.connectUplink(better)
    let second = try Guest(on: other, address: 0x1)
    #expect(second.port.capabilities == .all.union(.datagrams))
    second.sendDatagrams(payloadByteCount: 2000, segmentByteCount: 1000)
    #expect(better.frames.map(\.offload.segmentation) == [.datagrams])
  }

  @Test func addressesWithoutEndOfOneLiarTakeNoMoreMemory() throws {
    let liar = try Guest(on: lan, address: 0x1)
    let honest = try Guest(on: lan, address: 0x2)
    for number in 0..<100_000 { liar.send(to: 0x2, as: 0x0200_0000_0000 + UInt64(number)) }
    honest.send(to: 0x1)
    // Whatever the table remembers of the liar, what was said last is true.
    liar.send(to: 0x2)
    honest.client.received = []
    liar.send(to: 0x2)
    #expect(honest.receivedCount == 1)
  }
}

/// A vif on a port of the switch.
final class Guest {
  let port: SwitchPort
  let client = RecordingClient()
  let address: UInt64
  fileprivate let frame: Frame

  init(on lan: VirtualSwitch, address: UInt64, vlan: UInt16? = nil, trunk: VLANSet? = nil, fixed: Bool = false, accepting: FrameCapabilities = .all) throws {
    self.address = address
    port = lan.makePort(SwitchPortConfiguration(vlan: vlan, trunk: trunk, address: fixed ? MACAddress(rawValue: address) : nil))
    frame = Frame(index: 0, head: try SharedRegion(anonymousByteCount: 4096).bytes)
    try port.connect(client, accepting: accepting, queueCount: 1)
  }

  var receivedCount: Int { client.received.count }

  @discardableResult
  func send(to destination: UInt64, as source: UInt64? = nil, tag: UInt16? = nil) -> String {
    var bytes = [destination, source ?? address].flatMap { address in (0..<6).map { UInt8(truncatingIfNeeded: address >> UInt64(40 - 8 * $0)) } }
    if let tag { bytes += [0x81, 0, UInt8(tag >> 8), UInt8(truncatingIfNeeded: tag)] }
    bytes += [0x88, 0xb5] + [UInt8](repeating: 7, count: 46)
    frame.reset(headByteCount: bytes.count)
    frame.head.copyIn(bytes, at: 0)
    let outcome = port.transmit(frame, queue: 0)
    port.endOfTransmitBatch()
    return "\(outcome)"
  }

  /// Sends TCP over IPv4 to all, which is to be cut and summed by others.
  func sendLarge(payloadByteCount: Int, segmentByteCount: UInt16) {
    let length = 40 + payloadByteCount
    var bytes = [UInt8](repeating: 0xff, count: 6) + (0..<6).map { UInt8(truncatingIfNeeded: address >> UInt64(40 - 8 * $0)) } + [8, 0]
    bytes += [0x45, 0, UInt8(length >> 8), UInt8(length & 0xff), 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
    bytes += [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 5, count: payloadByteCount)
    frame.reset(headByteCount: bytes.count)
    frame.head.copyIn(bytes, at: 0)
    frame.offload.needsChecksum = true
    frame.offload.segmentation = .tcpv4
    frame.offload.segmentByteCount = segmentByteCount
    _ = port.transmit(frame, queue: 0)
    port.endOfTransmitBatch()
  }
}

extension Guest {
  /// Sends UDP over IPv4 to all, which is to be cut and summed by others.
  func sendDatagrams(payloadByteCount: Int, segmentByteCount: UInt16) {
    let length = 28 + payloadByteCount
    var bytes = [UInt8](repeating: 0xff, count: 6) + (0..<6).map { UInt8(truncatingIfNeeded: address >> UInt64(40 - 8 * $0)) } + [8, 0]
    bytes += [0x45, 0, UInt8(length >> 8), UInt8(length & 0xff), 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
    bytes += [0, 1, 0, 2, UInt8((length - 20) >> 8), UInt8((length - 20) & 0xff), 0, 0] + [UInt8](repeating: 5, count: payloadByteCount)
    frame.reset(headByteCount: bytes.count)
    frame.head.copyIn(bytes, at: 0)
    frame.offload.needsChecksum = true
    frame.offload.segmentation = .datagrams
    frame.offload.segmentByteCount = segmentByteCount
    _ = port.transmit(frame, queue: 0)
    port.endOfTransmitBatch()
  }
}

final class RecordingClient: NetPortClient {
  var received: [[UInt8]] = []
  var needsChecksum: [Bool] = []
  var transmitted: [Int] = []
  var batchCount = 0
  var outcome = ReceiveOutcome.delivered

  override func receive(_ frame: Frame, queue: Int) -> ReceiveOutcome {
    if case .delivered = outcome {
      received.append(frame.head.copyOut(at: 0, byteCount: frame.byteCount))
      needsChecksum.append(frame.offload.needsChecksum)
    }
    return outcome
  }
  override func endOfReceiveBatch() { batchCount += 1 }
  override func transmitted(_ frame: Frame, succeeded: Bool) { transmitted.append(frame.index) }
}

/// Something behind the switch that takes its time.
final class RecordingPort: NetPort {
  var frames: [Frame] = []
  var batchCount = 0
  var takes: FrameCapabilities = []
  override var capabilities: FrameCapabilities { takes }
  override func endOfTransmitBatch() { batchCount += 1 }
  override func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome {
    frames.append(frame)
    return .pending
  }
}
