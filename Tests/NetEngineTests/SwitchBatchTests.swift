import NetEngine
import NetPackets
import SharedMemory
import Testing

/// Frames that a switch gets by the batch, against the same frames one by one.
@Suite struct SwitchBatchTests {
  /// Everything that can be seen of a switch from outside.
  private struct Seen: Equatable {
    var received: [[[UInt8]]] = []
    var needsChecksum: [[Bool]] = []
    var outcomes: [String] = []
    var counters: [SwitchPortCounters] = []
    var uplink: [[UInt8]] = []
    var transmitted: [[Int]] = []
  }

  @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as [UInt64])
  func theSameGoesTheSameWayAsOneByOne(seed: UInt64) throws {
    let batched = try play(seed, inBatches: true)
    #expect(try batched == play(seed, inBatches: false), "seed \(seed)")
    #expect(batched.outcomes.contains("done") && batched.outcomes.contains("dropped") && batched.outcomes.contains("pending"))
  }

  private func play(_ seed: UInt64, inBatches: Bool) throws -> Seen {
    var random = Numbers(state: seed)
    let lan = try VirtualSwitch(name: "lan", learns: seed % 3 != 0)
    let fixed = seed % 3 == 0
    let guests = [
      try Guest(on: lan, address: 0x1, fixed: fixed), try Guest(on: lan, address: 0x2, fixed: fixed),
      try Guest(on: lan, address: 0x3, vlan: 10, fixed: true), try Guest(on: lan, address: 0x4, vlan: 10),
      try Guest(on: lan, address: 0x5, trunk: VLANSet("10+untagged")), try Guest(on: lan, address: 0x6, fixed: fixed, accepting: []),
    ]
    let uplink = BusyUplink()
    try lan.connectUplink(uplink, SwitchPortConfiguration(trunk: VLANSet("10+untagged")))
    let frames = (0..<FrameBatch.capacity).map { Frame.scratch(index: $0, byteCount: 4096) }
    let batch = FrameBatch(of: FixedObjects(count: frames.count) { frames[$0] })
    var seen = Seen()
    for guest in guests { guest.send(to: 0x77) }
    for _ in 0..<200 {
      let sender = guests[random.next(guests.count)]
      guests[random.next(guests.count)].client.outcome = [.delivered, .delivered, .full, .dropped][random.next(4)]
      let count = 1 + random.next(FrameBatch.capacity)
      var destination = 0
      for frame in frames[..<count] {
        if random.next(4) == 0 { destination = random.next(10) }
        random.make(frame, to: destination, from: sender)
      }
      if inBatches {
        batch.fill(count) { Int32($0) }
        sender.port.transmit(batch, queue: 0)
        seen.outcomes += (0..<count).map { "\(batch.outcome($0))" }
        #expect(batch.isMixed || (0..<count).allSatisfy { batch.outcome($0) == .done })
      } else {
        seen.outcomes += frames[..<count].map { "\(sender.port.transmit($0, queue: 0))" }
      }
      sender.port.endOfTransmitBatch()
      uplink.endAll()
    }
    seen.received = guests.map(\.client.received)
    seen.needsChecksum = guests.map(\.client.needsChecksum)
    seen.transmitted = guests.map(\.client.transmitted)
    seen.counters = guests.map(\.port.counters)
    seen.uplink = uplink.taken
    return seen
  }

  @Test func whatIsLearnedInABatchHoldsForTheFramesBehind() throws {
    let lan = try VirtualSwitch(name: "lan")
    let guests = try [0x1, 0x2, 0x3].map { try Guest(on: lan, address: $0) }
    guests[1].send(to: 0x1)
    let frames = (0..<8).map { Frame.scratch(index: $0, byteCount: 256) }
    let batch = FrameBatch(of: FixedObjects(count: frames.count) { frames[$0] })
    for frame in frames { #expect(frame.fill([0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0x88, 0xb5] + [UInt8](repeating: 1, count: 46))) }
    batch.fill(8) { Int32($0) }
    let before = guests.map(\.receivedCount)
    guests[0].port.transmit(batch, queue: 0)
    #expect(zip(guests, before).map { $0.receivedCount - $1 } == [0, 8, 0])
    #expect(guests[0].port.counters.received == .init(frames: 8, bytes: 480))
    #expect(guests[1].port.counters.sent == .init(frames: 8, bytes: 480))
  }
}

/// An uplink that keeps frames until it is asked to end them.
private final class BusyUplink: NetPort {
  var taken: [[UInt8]] = []
  private var kept: [Frame] = []
  override var capabilities: FrameCapabilities { .all }
  override func transmit(_ frame: Frame, queue: Int) -> TransmitOutcome {
    taken.append(frame.bytes)
    if taken.count % 5 == 0 { return .dropped }
    if taken.count % 5 == 1 { return .done }
    kept.append(frame)
    return .pending
  }
  func endAll() {
    for frame in kept { client?.transmitted(frame, succeeded: true) }
    kept = []
  }
}

/// Frames that follow from a number.
private struct Numbers {
  var state: UInt64

  mutating func next(_ end: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % end
  }

  /// Fills a frame: most are plain, some spoofed, tagged, too short, or with something left to do.
  mutating func make(_ frame: Frame, to destination: Int, from guest: Guest) {
    var bytes: [UInt8] = [destination == 9 ? 1 : 0, 0, 0, 0, 0, UInt8(destination), 0, 0, 0, 0, 0, next(20) == 0 ? 9 : UInt8(guest.address)]
    if next(8) == 0 { bytes += [0x81, 0, 0, [10, 20, 0][next(3)]] }
    bytes += [0x88, 0xb5] + (0..<46 + next(400)).map { UInt8(truncatingIfNeeded: $0 &+ destination) }
    if next(40) == 0 { bytes = Array(bytes[..<12]) }
    precondition(frame.fill(bytes))
    if next(25) == 0 { frame.offload.needsChecksum = true }
  }
}
