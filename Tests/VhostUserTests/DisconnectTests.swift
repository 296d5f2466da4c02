import BlockEngine
import BlockVirtio
import EventLoop
import LinuxSystem
import SharedMemory
import SharedRing
import Testing
import VhostUser
import VirtioRing

/// A connection that ends, or a queue that stops, while a real disk has taken a request and has no room for it yet.
struct DisconnectTests {
  /// A disk over a real socket, with one read taken that its engine has no room for.
  private final class CrowdedDisk {
    let turns: TestLoop
    let device: BlockVirtioDevice
    let vmm: TestVMM
    let guest: TestGuest
    let driver: TestDriver
    private var held: [Int] = []

    init() throws {
      turns = try TestLoop()
      let store = try BlockStore.open(BlockStoreSpec(.memory(byteCount: 1 << 20)))
      device = BlockVirtioDevice(engine: BlockEngine(store: store, loop: turns.loop), queueCount: 2, identity: "disk", polling: .never)
      while let request = device.engine.begin(vectorCount: 0) { held.append(request) }
      vmm = try TestVMM(device, on: turns)
      guest = try TestGuest()
      driver = guest.driver(of: 0)
      try vmm.negotiate()
      try vmm.setMemory(guest)
      let events = try vmm.start(0, of: guest, base: driver.base)
      guest.bytes.store8(0xff, at: TestGuest.dataOffset + 1024)
      driver.add([
        DriverQueue.Buffer(guestAddress: guest.data(0), byteCount: 16), DriverQueue.Buffer(guestAddress: guest.data(512), byteCount: 512, isWritable: true),
        DriverQueue.Buffer(guestAddress: guest.data(1024), byteCount: 1, isWritable: true),
      ])
      driver.publish()
      EventDescriptor.signal(events.kick.descriptor)
      _ = turns.run { device.queueStatus[0].requests == 1 }
    }

    func makeRoom() {
      for request in held { device.engine.abandon(request) }
      held = []
    }

    func close() {
      makeRoom()
      vmm.hangUp()
      device.close()
    }
  }

  @Test func aConnectionEndsWhenTheRequestHasHadItsTurn() throws {
    let disk = try CrowdedDisk()
    defer { disk.close() }
    try disk.vmm.send(77, announcing: 0)
    for _ in 0..<20 { disk.turns.loop.turn(maySleep: false) }
    #expect(!disk.vmm.isOver && disk.device.queueStatus.count == 1)
    disk.makeRoom()
    #expect(disk.vmm.ending()?.description == "message 77: it is not known here")
    #expect(disk.device.queueStatus.isEmpty)
    #expect(try disk.driver.takeUsed()?.writtenByteCount == 513)
    #expect(disk.guest.bytes.load8(at: TestGuest.dataOffset + 1024) == 0)
    let next = try TestVMM(disk.device, on: disk.turns)
    #expect(word64(try next.ask(.getQueueNumber).payload) == 2)
    next.hangUp()
  }

  @Test func aQueueIsSaidToHaveStoppedWhenTheRequestHasHadItsTurn() throws {
    let disk = try CrowdedDisk()
    defer { disk.close() }
    try disk.vmm.send(.getVringBase, words(0))
    #expect(try disk.vmm.saysNothing())
    for _ in 0..<20 { disk.turns.loop.turn(maySleep: false) }
    #expect(try disk.vmm.saysNothing())
    disk.makeRoom()
    let answer = try disk.vmm.answer()
    #expect(answer.request == VhostUserRequest.getVringBase.rawValue && answer.payload == bytesOf(UInt32(0)) + bytesOf(disk.driver.base))
    #expect(try disk.driver.takeUsed()?.writtenByteCount == 513)
  }
}
