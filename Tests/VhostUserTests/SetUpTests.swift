import EventLoop
import LinuxSystem
import Testing
import VhostUser
import VirtioInterface
import VirtioRing

/// What an honest VMM sees.
struct SetUpTests {
  @Test func offersWhatTheDeviceAndEveryDeviceCan() throws {
    let vmm = try TestVMM()
    let features = VirtioFeatures(rawValue: word64(try vmm.ask(.getFeatures).payload))
    #expect(features.isSuperset(of: [.version1, .protocolFeatures, .eventIndex, .indirectDescriptors, .ringPacked, .logAll, VirtioFeatures(rawValue: 1)]))
    let offered = VhostUserFeatures(rawValue: word64(try vmm.ask(.getProtocolFeatures).payload))
    #expect(offered == TestVMM.protocolFeatures.union([.mtu, .rarp]))
    #expect(word64(try vmm.ask(.getQueueNumber).payload) == 2)
  }

  @Test(arguments: [.split, .packed] as [DeviceQueue.Format])
  func startsAQueueOnceEverythingWasSaid(format: DeviceQueue.Format) throws {
    let vmm = try TestVMM()
    let guest = try TestGuest(format)
    let driver = guest.driver(of: 0)
    try vmm.negotiate(format == .packed ? .ringPacked : [])
    try vmm.setMemory(guest)
    try vmm.start(0, of: guest, base: driver.base)
    #expect(vmm.testDevice.running.count == 1)
    driver.add([DriverQueue.Buffer(guestAddress: guest.data(0), byteCount: 100)])
    driver.publish()
    let chain = try #require(try vmm.testDevice.take(from: 0))
    #expect(chain.readableByteCount == 100)
    vmm.testDevice.put(chain, on: 0)
    // The place to go on at, and the answer, which was not shown yet.
    let base = try vmm.ask(.getVringBase, bytesOf(UInt64(0))).payload
    #expect(word64(base) >> 32 == UInt64(driver.base))
    #expect(try driver.takeUsed()?.id == chain.id)
    #expect(vmm.testDevice.running.isEmpty)
  }

  @Test(arguments: [
    .setMemoryTable, .setVringEnable, .setVringCall, .resetDevice, .setStatus, .setMTU, .sendRARP, .setConfiguration, .removeMemoryRegion, .addMemoryRegion,
    .setBackendChannel, .setLogDescriptor,
  ] as [VhostUserRequest])
  func acknowledgesEachMessageOnce(request: VhostUserRequest) throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate(protocolFeatures: TestVMM.protocolFeatures.union([.mtu, .rarp]))
    if request == .removeMemoryRegion { try vmm.send(.addMemoryRegion, words(0) + guest.region, descriptors: [guest.file.rawValue]) }
    let other = try WatchedDescriptor()
    let message: (payload: [UInt8], descriptors: [Int32]) =
      switch request {
      case .setMemoryTable: (words(1) + guest.region, [guest.file.rawValue])
      case .addMemoryRegion: (words(0) + guest.region, [guest.file.rawValue])
      case .removeMemoryRegion: (words(0) + guest.region, [])
      case .setVringEnable: (words(0), [])
      case .setVringCall: (words(0x100), [])
      case .setMTU: (words(1500), [])
      case .sendRARP, .setStatus: (words(0), [])
      case .setConfiguration: (bytesOf(UInt32(2)) + bytesOf(UInt32(1)) + bytesOf(UInt32(0)) + [7], [])
      case .setBackendChannel, .setLogDescriptor: ([], [other.rawValue])
      default: ([], [])
      }
    try vmm.tell(request, message.payload, descriptors: message.descriptors)
    if request == .setMTU { #expect(vmm.testDevice.mtu == 1500) }
    if request == .setConfiguration { #expect(vmm.testDevice.space[2] == 7) }
  }

  @Test func acknowledgesEnablingAndDisablingARunningQueueOnce() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.setMemory(guest)
    try vmm.start(0, of: guest, base: guest.driver(of: 0).base)
    try vmm.tell(.setVringEnable, bytesOf(UInt32(0)) + bytesOf(UInt32(0)))
    #expect(vmm.testDevice.running.isEmpty)
    try vmm.tell(.setVringEnable, bytesOf(UInt32(0)) + bytesOf(UInt32(1)))
    #expect(vmm.testDevice.running.count == 1)
  }

  @Test func readsThePartOfTheConfigurationSpaceThatIsAskedFor() throws {
    let vmm = try TestVMM()
    try vmm.negotiate()
    let question = bytesOf(UInt32(4)) + bytesOf(UInt32(14)) + bytesOf(UInt32(0)) + [UInt8](repeating: 0, count: 14)
    let answer = try vmm.ask(.getConfiguration, question)
    #expect(answer.payload == question.prefix(12) + Array(4..<16) + [0, 0])
  }

  @Test func answersWithNothingForAPartThatIsOutsideTheSpace() throws {
    let vmm = try TestVMM()
    try vmm.negotiate()
    let question = bytesOf(UInt32(250)) + bytesOf(UInt32(8)) + bytesOf(UInt32(0)) + [UInt8](repeating: 0, count: 8)
    #expect(try vmm.ask(.getConfiguration, question).payload.isEmpty)
  }

  @Test func tellsOfANewConfigurationOverTheBackendsChannel() throws {
    let vmm = try TestVMM()
    try vmm.negotiate()
    let pair = try UnixSocket.pair(.stream)
    try vmm.tell(.setBackendChannel, descriptors: [pair.second.rawValue])
    vmm.device.notifyConfigurationChange?()
    let message = try UnixSocket.receive(capacity: 64, on: pair.first, nonBlocking: true).bytes
    #expect(message == bytesOf(UInt32(2)) + bytesOf(UInt32(1)) + bytesOf(UInt32(0)))
  }

  @Test func keepsTheStatusUntilItIsReset() throws {
    let vmm = try TestVMM()
    try vmm.negotiate()
    try vmm.tell(.setStatus, words(0xf))
    #expect(word64(try vmm.ask(.getStatus).payload) == 0xf)
    try vmm.tell(.setStatus, words(0))
    #expect(word64(try vmm.ask(.getStatus).payload) == 0)
  }

  @Test func resettingTheDeviceStopsItsQueuesAndForgetsThem() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    try vmm.negotiate()
    try vmm.setMemory(guest)
    try vmm.start(1, of: guest, base: guest.driver(of: 1).base)
    try vmm.tell(.resetDevice)
    #expect(vmm.testDevice.running.isEmpty)
    // Enabling alone does not start it again.
    try vmm.tell(.setVringEnable, bytesOf(UInt32(1)) + bytesOf(UInt32(1)))
    #expect(vmm.testDevice.running.isEmpty)
  }

  @Test func takesAMessageInAnyPieces() throws {
    let vmm = try TestVMM()
    for byte in bytesOf(VhostUserRequest.setFeatures.rawValue) + bytesOf(UInt32(1)) + bytesOf(UInt32(8)) + bytesOf(VirtioFeatures.version1.rawValue) {
      try vmm.write([byte])
      vmm.turns.loop.turn(maySleep: false)
    }
    #expect(word64(try vmm.ask(.getQueueNumber).payload) == 2)
  }

  @Test func callsTheDriverAndHearsItsKick() throws {
    let vmm = try TestVMM()
    let guest = try TestGuest()
    let driver = guest.driver(of: 0)
    try vmm.negotiate()
    try vmm.setMemory(guest)
    let events = try vmm.start(0, of: guest, base: driver.base)
    let queue = try #require(vmm.testDevice.running[0])
    EventDescriptor.signal(events.kick.descriptor)
    #expect(vmm.turns.run { queue.events?.isPending == true })
    driver.add([DriverQueue.Buffer(guestAddress: guest.data(0), byteCount: 1)])
    driver.publish()
    let chain = try #require(try vmm.testDevice.take(from: 0))
    vmm.testDevice.put(chain, on: 0)
    queue.publish()
    #expect(vmm.turns.run { vmm.turns.loop.turn(maySleep: false); return EventDescriptor.isReadable(events.call.descriptor) })
  }
}
