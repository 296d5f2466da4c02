import LinuxSystem
import SharedMemory
import SystemPackage
import Testing
import VhostUser
import VirtioInterface
import VirtioRing

/// The guest's memory: tables that cannot be, regions that come and go, and queues in them.
struct MemoryTests {
  struct Wrong: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var regions: [[UInt8]]
    var line: String
  }

  /// The file has a mebibyte.
  private static let tables: [Wrong] = [
    Wrong(testDescription: "empty", regions: [TestGuest.region(byteCount: 0)], line: "the region of 0 bytes at 0x40000000 has an impossible size or place in its file"),
    Wrong(testDescription: "beyond its file", regions: [TestGuest.region(byteCount: 1 << 20, offset: 4096)], line: "the region of 1048576 bytes at 0x40000000 ends beyond its file, which has 1048576 bytes"),
    Wrong(testDescription: "of all the address space", regions: [TestGuest.region(byteCount: .max)], line: "the region of 18446744073709551615 bytes at 0x40000000 has an impossible size or place in its file"),
    Wrong(testDescription: "far in its file", regions: [TestGuest.region(byteCount: 4096, offset: .max - 4095)], line: "the region of 4096 bytes at 0x40000000 has an impossible size or place in its file"),
    Wrong(testDescription: "guest address overflows", regions: [TestGuest.region(guest: .max - 100, byteCount: 4096)], line: "the region of 4096 bytes at 0xffffffffffffff9b ends beyond the address space"),
    Wrong(testDescription: "user address overflows", regions: [TestGuest.region(byteCount: 4096, user: .max - 100)], line: "the region of 4096 bytes at 0x40000000 ends beyond the address space"),
    Wrong(testDescription: "overlap by a byte", regions: [TestGuest.region(byteCount: 4097), TestGuest.region(guest: TestGuest.guestAddress + 4096, byteCount: 4096)], line: "the region of 4096 bytes at 0x40001000 overlaps region 0"),
    Wrong(testDescription: "the same twice", regions: [TestGuest.region(byteCount: 4096), TestGuest.region(byteCount: 4096)], line: "the region of 4096 bytes at 0x40000000 overlaps region 0"),
  ]

  @Test(arguments: tables)
  func refusesATableThatCannotBe(wrong: Wrong) throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.send(
      .setMemoryTable, bytesOf(UInt64(wrong.regions.count)) + wrong.regions.flatMap { $0 },
      descriptors: wrong.regions.map { _ in guest.file.rawValue })
    #expect(vmm.ending()?.description == "SET_MEM_TABLE: \(wrong.line)")
  }

  @Test func refusesADescriptorThatIsNoMemory() throws {
    let vmm = try TestVMM()
    let socket = try WatchedDescriptor()
    try vmm.negotiate()
    try vmm.send(.addMemoryRegion, words(0) + TestGuest.region(byteCount: 4096), descriptors: [socket.rawValue])
    socket.letGo()
    #expect(vmm.ending()?.description.hasPrefix("ADD_MEM_REG: the region of 4096 bytes at 0x40000000 cannot be mapped") == true)
    #expect(vmm.turns.run { socket.isClosed })
  }

  @Test func takesARegionAtAnyByteOfItsFile() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.tell(.addMemoryRegion, words(0) + TestGuest.region(byteCount: 5001, offset: 4099), descriptors: [guest.file.rawValue])
  }

  @Test func refusesAQueueOutsideTheMemory() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.setMemory(guest)
    #expect(throws: TestVMM.Ended.self) {
      // The memory goes, and the queue is to be in it.
      try vmm.send(.removeMemoryRegion, words(0) + guest.region)
      try vmm.start(0, of: guest, base: 0)
    }
    #expect(vmm.failure?.description == "SET_VRING_ADDR: the descriptor area of queue 0, 1024 bytes at 0x7f0000000000, is not in the guest's memory")
  }

  @Test(arguments: [.setVringNumber, .setVringBase, .setVringKick] as [VhostUserRequest])
  func refusesToChangeAQueueThatRuns(request: VhostUserRequest) throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.setMemory(guest)
    try vmm.start(0, of: guest, base: guest.driver(of: 0).base)
    try vmm.send(request, request == .setVringKick ? words(0x100) : words(64 << 32))
    #expect(vmm.ending()?.description == "\(request): queue 0 is running")
    #expect(vmm.testDevice.running.isEmpty)
  }

  @Test func aRunningQueueCannotMove() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.setMemory(guest)
    try vmm.start(0, of: guest, base: guest.driver(of: 0).base)
    var address = guest.address(of: 0)
    address[8] = 0x10
    try vmm.send(.setVringAddress, address)
    #expect(vmm.ending()?.description == "SET_VRING_ADDR: queue 0 is running and cannot move")
  }

  @Test func aNewTableWaitsForTheQueuesAndStartsThemAgain() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.setMemory(guest)
    let driver = guest.driver(of: 0)
    try vmm.start(0, of: guest, base: driver.base)
    driver.add([DriverQueue.Buffer(guestAddress: guest.data(0), byteCount: 8)])
    driver.publish()
    let chain = try #require(try vmm.testDevice.take(from: 0))
    vmm.testDevice.holdsStops = true
    let changes = vmm.testDevice.memoryChanges
    try vmm.send(.setMemoryTable, words(1) + guest.region, descriptors: [guest.file.rawValue], needsReply: true)
    #expect(vmm.turns.run { !vmm.testDevice.heldStops.isEmpty })
    #expect(try vmm.saysNothing())
    #expect(vmm.testDevice.memoryChanges == changes)
    vmm.testDevice.put(chain, on: 0)
    vmm.testDevice.holdsStops = false
    vmm.testDevice.letStop()
    #expect(try vmm.answer().request == VhostUserRequest.setMemoryTable.rawValue)
    #expect(vmm.testDevice.memoryChanges == changes + 1)
    #expect(try driver.takeUsed()?.id == chain.id)
    // It goes on where it was: nothing is taken twice.
    #expect(vmm.testDevice.running[0] != nil)
    #expect(try vmm.testDevice.take(from: 0) == nil)
  }

  @Test func regionsComeAndGoWhileAQueueRuns() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.setMemory(guest)
    let driver = guest.driver(of: 0)
    try vmm.start(0, of: guest, base: driver.base)
    let more = TestGuest.region(guest: 0x9000_0000, byteCount: 65536, user: 0x7e00_0000_0000)
    try vmm.tell(.addMemoryRegion, words(0) + more, descriptors: [guest.file.rawValue])
    driver.add([DriverQueue.Buffer(guestAddress: 0x9000_0000, byteCount: 65536)])
    driver.publish()
    let chain = try #require(try vmm.testDevice.take(from: 0))
    vmm.testDevice.put(chain, on: 0)
    try vmm.tell(.removeMemoryRegion, words(0) + more)
    driver.add([DriverQueue.Buffer(guestAddress: 0x9000_0000, byteCount: 1)])
    driver.publish()
    #expect(throws: VirtqueueFault.outsideMemory(guestAddress: 0x9000_0000, byteCount: 1)) { try vmm.testDevice.take(from: 0) }
  }

  @Test func aBrokenQueueIsToldOverItsErrorDescriptor() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.setMemory(guest)
    let driver = guest.driver(of: 0)
    try vmm.start(0, of: guest, base: driver.base)
    let error = SharedDescriptor(try EventDescriptor.create())
    try vmm.tell(.setVringError, words(0), descriptors: [error.rawValue])
    vmm.testDevice.running[0]?.giveUp(.emptyDescriptor(index: 3))
    let isTold = EventDescriptor.isReadable(error.descriptor)
    #expect(isTold)
    // The connection goes on, and so does the other queue.
    let other = guest.driver(of: 1)
    try vmm.start(1, of: guest, base: other.base)
    #expect(vmm.testDevice.running.count == 2)
  }

  // MARK: Dirty log

  @Test func refusesALogThatIsSmallerThanTheMemory() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    let log = SharedDescriptor(try MemoryFile.create(name: "log", byteCount: 65536))
    try vmm.negotiate()
    try vmm.setMemory(guest)
    // 0x40100000 bytes of addresses, a bit for each page.
    try vmm.send(.setLogBase, words(0x401f, 0), descriptors: [log.rawValue])
    #expect(vmm.ending()?.description == "SET_LOG_BASE: a log of 16415 bytes is too small for the guest's memory, which takes 32800")
  }

  @Test func refusesALogThatBeginsWithinAWord() throws {
    let vmm = try TestVMM()
    let log = SharedDescriptor(try MemoryFile.create(name: "log", byteCount: 65536))
    try vmm.negotiate()
    try vmm.send(.setLogBase, words(4096, 3), descriptors: [log.rawValue])
    #expect(vmm.ending()?.description == "SET_LOG_BASE: the log begins at byte 3 of its file, expected a multiple of 8")
  }

  @Test func marksTheUsedRingWhileTheVMMWantsIt() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    let file = SharedDescriptor(try MemoryFile.create(name: "log", byteCount: 65536))
    let log = try SharedRegion(mapping: file.descriptor, byteCount: 65536, access: .readWrite).bytes
    try vmm.negotiate(.logAll)
    try vmm.setMemory(guest)
    _ = try vmm.ask(.setLogBase, words(65536, 0), descriptors: [file.rawValue])
    let driver = guest.driver(of: 0)
    try vmm.start(0, of: guest, base: driver.base, marksWrites: true)
    driver.add([DriverQueue.Buffer(guestAddress: guest.data(0), byteCount: 8)])
    driver.publish()
    let chain = try #require(try vmm.testDevice.take(from: 0))
    vmm.testDevice.put(chain, on: 0)
    vmm.testDevice.running[0]?.publish()
    let page = Int(TestGuest.guestAddress / 4096)
    #expect(log.load8(at: page / 8) & 1 == 1)
  }
}
