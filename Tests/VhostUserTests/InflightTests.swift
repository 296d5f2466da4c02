import LinuxSystem
import SharedMemory
import TestSupport
import Testing
import VhostUser
import VirtioInterface
import VirtioRing

/// What was under way when a back-end ended, in memory that outlives it.
struct InflightTests {
  private static let question: [UInt8] = words(0, 0) + bytesOf(UInt16(TestDevice.queueCount)) + bytesOf(UInt16(TestGuest.entryCount))

  @Test func aLaterBackEndTakesUnansweredChainsAgainInTheirOrder() throws {
    let turns = try TestLoop()
    let device = TestDevice(loop: turns.loop)
    let guest = try TestGuest()
    let driver = guest.driver(of: 0)
    let first = try TestVMM(device, on: turns)
    try first.negotiate()
    let record = try first.ask(.getInflightDescriptor, Self.question)
    let file = try #require(record.descriptors.first)
    let isSealed = MemoryFile.cannotShrink(file.descriptor)
    #expect(isSealed)
    try first.tell(.setInflightDescriptor, record.payload, descriptors: [file.rawValue])
    try first.setMemory(guest)
    try first.start(0, of: guest, base: driver.base)
    for position in 0..<5 { driver.add([DriverQueue.Buffer(guestAddress: guest.data(position * 64), byteCount: 64)]) }
    driver.publish()
    var taken: [DeviceQueue.Chain] = []
    for _ in 0..<4 { taken.append(try #require(try device.take(from: 0))) }
    // One of the middle is answered; the others never will be: the connection just ends.
    device.put(taken[1], on: 0)
    device.running[0]?.publish()
    first.hangUp()
    #expect(device.running.isEmpty)

    let second = try TestVMM(device, on: turns)
    try second.negotiate()
    try second.tell(.setInflightDescriptor, record.payload, descriptors: [file.rawValue])
    try second.setMemory(guest)
    // Its idea of where to go on is older than what was taken.
    try second.start(0, of: guest, base: driver.base &- 5)
    var again: [UInt16] = []
    while let chain = try device.take(from: 0) {
      again.append(chain.id)
      device.put(chain, on: 0)
    }
    #expect(again == [taken[0].id, taken[2].id, taken[3].id] + again.suffix(1))
    #expect(again.count == 4, "and the one that nobody had taken")
    device.running[0]?.publish()
    var used = 0
    while try driver.takeUsed() != nil { used += 1 }
    #expect(used == 5)
  }

  @Test func refusesARecordThatIsTooSmall() throws {
    let vmm = try TestVMM()
    try vmm.negotiate()
    let record = try vmm.ask(.getInflightDescriptor, Self.question)
    let file = try #require(record.descriptors.first)
    try vmm.send(.setInflightDescriptor, words(64, 0) + record.payload.suffix(8), descriptors: [file.rawValue])
    #expect(vmm.ending()?.description == "SET_INFLIGHT_FD: 64 bytes are too few for 2 queues of 64 entries")
  }

  @Test func refusesARecordThatBeginsWithinAWord() throws {
    let vmm = try TestVMM()
    try vmm.negotiate()
    let record = try vmm.ask(.getInflightDescriptor, Self.question)
    let file = try #require(record.descriptors.first)
    try vmm.send(.setInflightDescriptor, Array(record.payload.prefix(8)) + words(1) + record.payload.suffix(8), descriptors: [file.rawValue])
    #expect(vmm.ending()?.description == "SET_INFLIGHT_FD: the record begins at byte 1 of its file, expected a multiple of 8")
  }

  /// Whatever the VMM writes there, the queue starts, and gives up at worst.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func survivesARecordOfGarbage(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    let record = try vmm.ask(.getInflightDescriptor, Self.question)
    let file = try #require(record.descriptors.first)
    let byteCount = Int(word64(record.payload))
    let bytes = try SharedRegion(mapping: file.descriptor, byteCount: byteCount, access: .readWrite).bytes
    for offset in 0..<byteCount { bytes.store8(UInt8.random(in: 0...255, using: &random), at: offset) }
    for offset in [0, byteCount / 2] {
      // Taken for a real one: its version and size are right.
      bytes.store16(1, at: offset + 8)
      bytes.store16(UInt16(TestGuest.entryCount), at: offset + 10)
    }
    try vmm.tell(.setInflightDescriptor, record.payload, descriptors: [file.rawValue])
    try vmm.setMemory(guest)
    try vmm.start(0, of: guest, base: guest.driver(of: 0).base)
    do { while let chain = try vmm.testDevice.take(from: 0) { vmm.testDevice.put(chain, on: 0) } } catch {}
    #expect(vmm.testDevice.running[0] != nil)
    vmm.testDevice.running[0]?.publish()
  }
}
