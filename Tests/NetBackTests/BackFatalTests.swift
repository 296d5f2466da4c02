import EventLoop
@testable import NetBack
import NetEngine
import NetInterface
import NetPackets
import SharedRing
import SharedMemory
import Testing
import XenInterface
import XenPlatform

/// What no honest front-end does stops its vif, and nothing else.
@Suite struct BackFatalTests {
  @Test(arguments: [0x8000_0000, 257, 1000, UInt32.max - 2] as [UInt32])
  func xsa39ABogusProducerStopsTheRingForGood(jump: UInt32) throws {
    let system = try VifSystem(queueCount: 2)
    let memory = system.queues[0].transmitMemory
    let producer = memory.load32(at: 0)
    memory.store32(producer &+ jump, at: 0)
    system.turn(10)
    #expect(system.faults.count == 1, "told once")
    memory.store32(producer, at: 0)
    system.queues[0].put(system.slots(Frames.ethernet(byteCount: 64)))
    system.turn(10)
    #expect(system.port.frameCount == 0, "a good producer does not bring it back")
    try system.expectAlive(queue: 1)
    #expect(system.port.deliver(Frames.ethernet(byteCount: 64, to: Frames.guest)) == .dropped)
    #expect(system.counters.receiveDrops.broken == 1)
    system.finish()
  }

  @Test(arguments: [0x8000_0000, 257, 1000, UInt32.max - 2] as [UInt32])
  func xsa39ABogusReceiveProducerStopsTheRingForGood(jump: UInt32) throws {
    let system = try VifSystem(queueCount: 2)
    let memory = system.queues[0].receiveMemory
    memory.store32(memory.load32(at: 0) &+ jump, at: 0)
    #expect(system.port.deliver(Frames.ethernet(byteCount: 64, to: Frames.guest)) == .dropped)
    system.turn(10)
    #expect(system.faults.count == 1)
    try system.expectAlive(queue: 1)
    system.finish()
  }

  @Test func aBogusControlProducerStopsTheControlRing() throws {
    let system = try VifSystem(control: true)
    let memory = try #require(system.control?.memory)
    memory.store32(memory.load32(at: 0) &+ 129, at: 0)
    system.turn(10)
    #expect(system.faults.map(\.ringName) == [.control])
    system.finish()
  }

  /// Chains that are fatal, each by one rule of the protocol.
  private static func fatalChains(_ system: VifSystem) -> [(String, [NetifTransmitRequest])] {
    let frame = Frames.ethernet(byteCount: 200)
    func changed(_ index: Int, _ change: (inout NetifTransmitRequest) -> Void) -> [NetifTransmitRequest] {
      var slots = system.slots(frame, pieces: [100, 100])
      change(&slots[index])
      return slots
    }
    return [
      ("more data past the producer", changed(1) { $0.flags = NetifTransmitFlags.moreData.rawValue }),
      ("an extra info past the producer", [changed(0) { $0.flags = NetifTransmitFlags.extraInfo.rawValue }[0]]),
      ("more extra infos past the producer", Array(system.slots(frame, extras: [Frames.other(type: 4), Frames.other(type: 4)]).dropLast())),
      ("21 fragments", system.slots(frame, pieces: [179] + [Int](repeating: 1, count: 21))),
      ("a first piece outside its page", changed(0) { $0.offset = 4000 }),
      ("a fragment outside its page", changed(1) { $0.offset = 4000 }),
      ("a fragment at the end of a page", changed(1) { $0.offset = 4095; $0.byteCount = 2 }),
      ("an offset beyond the page", changed(1) { $0.offset = 65535 }),
      ("a frame larger than its one page", { var slots = system.slots(frame); slots[0].byteCount = 4097; return slots }()),
      ("extra type 0", system.slots(frame, extras: [Frames.other(type: 0)])),
      ("extra type 6", system.slots(frame, extras: [Frames.other(type: 6)])),
      ("extra type 255", system.slots(frame, extras: [Frames.other(type: 4), Frames.other(type: 255)])),
      ("segments of no bytes", system.slots(Frames.tcp4, extras: [Frames.segmentation(1, size: 0)])),
      ("segmentation type 0", system.slots(Frames.tcp4, extras: [Frames.segmentation(0)])),
      ("segmentation type 3", system.slots(Frames.tcp4, extras: [Frames.segmentation(3)])),
    ]
  }

  @Test(arguments: 0..<15)
  func aFatalChainStopsItsVifAndNoOther(index: Int) throws {
    let loop = try EventLoop(name: "both")
    let system = try VifSystem(loop: loop)
    let other = try VifSystem(loop: loop)
    let (name, slots) = Self.fatalChains(system)[index]
    try system.expectAlive()
    system.queues[0].put(slots)
    system.turn()
    #expect(system.faults.count == 1, "\(name)")
    #expect(system.port.frameCount == 1, "\(name)")
    system.queues[0].put(system.slots(Frames.ethernet(byteCount: 64)))
    system.turn()
    #expect(system.port.frameCount == 1, "nothing more is taken after \(name)")
    try other.expectAlive()
    system.disconnect()
    try other.expectAlive()
    system.finish()
    other.finish()
    loop.shutDown()
  }

  @Test func xsa90FatalTwiceOnAllQueues() throws {
    let system = try VifSystem(queueCount: 4)
    for _ in 0..<2 {
      for queue in system.queues {
        queue.put(system.slots(Frames.ethernet(byteCount: 200), extras: [Frames.other(type: 0)]))
        queue.put(system.slots(Frames.ethernet(byteCount: 200), extras: [Frames.other(type: 0)]))
      }
      system.turn()
    }
    #expect(system.faults.count == 4, "each queue once")
    system.disconnect()
    // Connected again, with new rings, it serves.
    system.finish()
  }

  @Test(arguments: 0..<4)
  func xsa374CloseRightAfterAFatalFrame(turns: Int) throws {
    let system = try VifSystem(queueCount: 2)
    system.port.outcome = .pending
    system.port.holdsOn = true
    for queue in system.queues { queue.put(system.slots(Frames.ethernet(byteCount: 9000))) }
    system.turn()
    system.port.deliver(Frames.ethernet(byteCount: 9000, to: Frames.guest))
    for queue in system.queues { queue.put(system.slots(Frames.ethernet(byteCount: 200), extras: [Frames.other(type: 0)])) }
    system.turn(turns)
    system.beginDisconnect()
    system.turn()
    #expect(system.leakedPageCount == nil, "the port still has two frames")
    while !system.port.pending.isEmpty {
      system.port.end(0)
      system.turn(1)
    }
    system.turn()
    #expect(system.leakedPageCount == 0)
    system.finish()
  }
}

extension NetBackFault {
  var ringName: NetRingName {
    switch self {
    case .ring(let name, _): name
    case .chain: .transmit
    }
  }
}
