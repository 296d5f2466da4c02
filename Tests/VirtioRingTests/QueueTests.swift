import SharedMemory
import Testing
import VirtioRing

/// What both sides do to a queue in good faith.
@Suite struct QueueTests {
  private typealias Buffer = DriverQueue.Buffer

  @Test(arguments: bothFormats)
  func aChainArrivesWithItsBuffersInOrderAndGoesBack(format: DeviceQueue.Format) throws {
    let queue = try TestQueue(format, entryCount: 4)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    #expect(!device.hasChains() && !driver.hasUsed())
    let id = driver.add([
      Buffer(guestAddress: queue.data(0), byteCount: 16), Buffer(guestAddress: queue.data(512), byteCount: 4096, isWritable: true),
      Buffer(guestAddress: queue.data(8192), byteCount: 1, isWritable: true),
    ])
    #expect(try device.take() == nil, "nothing is there before it is published")
    #expect(driver.publish(), "the first chain wants a kick")
    #expect(device.hasChains())
    let chain = try #require(try device.take())
    #expect(chain.id == id && chain.elementCount == 3 && chain.readableCount == 1)
    #expect(chain.readableByteCount == 16 && chain.writableByteCount == 4097)
    let base = queue.bytes.address + UInt(queue.dataOffset)
    #expect((0..<3).map { device.element($0).address } == [base, base + 512, base + 8192])
    #expect((0..<3).map { device.element($0).byteCount } == [16, 4096, 1])
    #expect(device.unansweredCount == 1 && !device.hasChains())

    device.put(chain.id, writtenByteCount: 4097)
    #expect(try driver.takeUsed() == nil, "nothing is there before it is published")
    #expect(device.publish(), "the first answer wants a call")
    #expect(try driver.takeUsed() == DriverQueue.Used(id: chain.id, writtenByteCount: 4097))
    #expect(try driver.takeUsed() == nil)
    #expect(driver.freeCount == 4 && device.unansweredCount == 0)
  }

  @Test(arguments: bothFormats)
  func chainsAreAnsweredInAnyOrder(format: DeviceQueue.Format) throws {
    let queue = try TestQueue(format, entryCount: 8)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    let buffers = (1...3).map { Buffer(guestAddress: queue.data($0 * 512), byteCount: UInt32($0), isWritable: true) }
    for length in [1, 2, 3, 2] { driver.add(Array(buffers.prefix(length))) }
    #expect(driver.freeCount == 0 && driver.add([buffers[0]]) == nil, "the ring is full")
    driver.publish()
    var ids: [UInt16] = []
    while let chain = try device.take() { ids.append(chain.id) }
    #expect(ids.count == 4)
    for id in [ids[2], ids[0]] { device.put(id, writtenByteCount: UInt32(id)) }
    device.publish()
    for id in [ids[3], ids[1]] { device.put(id, writtenByteCount: UInt32(id)) }
    device.publish()
    for id in [ids[2], ids[0], ids[3], ids[1]] {
      #expect(try driver.takeUsed() == DriverQueue.Used(id: id, writtenByteCount: UInt32(id)))
    }
    #expect(driver.freeCount == 8)
  }

  @Test(arguments: bothFormats, [1, 3, 1024])
  func anIndirectTableIsOneDescriptorOfTheRing(format: DeviceQueue.Format, count: Int) throws {
    let queue = try TestQueue(format, entryCount: 2)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    let buffers = (0..<count).map { Buffer(guestAddress: queue.data(32768 + $0), byteCount: 1, isWritable: $0 > 0) }
    #expect(driver.add(buffers, table: queue.table(0, descriptors: count)) != nil)
    #expect(driver.freeCount == 1)
    driver.publish()
    let chain = try #require(try device.take())
    #expect(chain.elementCount == count && chain.readableCount == 1 && chain.writableByteCount == count - 1)
    device.put(chain.id, writtenByteCount: 0)
    device.publish()
    #expect(try driver.takeUsed()?.id == chain.id)
    #expect(driver.freeCount == 2)
  }

  @Test(arguments: bothFormats, [true, false])
  func aDeviceThatLooksByItselfIsNotKickedUntilItAsks(format: DeviceQueue.Format, eventIndex: Bool) throws {
    let queue = try TestQueue(format, entryCount: 16, eventIndex: eventIndex)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    let buffer = [Buffer(guestAddress: queue.data(0), byteCount: 8)]
    #expect(device.armKick() == false)
    device.disarmKick()
    driver.add(buffer)
    // With event indices a split queue cannot be disarmed: the first kick after arming comes.
    #expect(driver.publish() == (format == .split && eventIndex))
    for _ in 0..<3 {
      driver.add(buffer)
      #expect(!driver.publish())
    }
    #expect(device.armKick(), "there is work: no sleeping")
    while let chain = try device.take() { device.put(chain.id, writtenByteCount: 0) }
    #expect(!device.armKick())
    driver.add(buffer)
    #expect(driver.publish(), "armed again")
  }

  @Test(arguments: bothFormats, [true, false])
  func aDriverThatLooksByItselfIsNotCalledUntilItAsks(format: DeviceQueue.Format, eventIndex: Bool) throws {
    let queue = try TestQueue(format, entryCount: 16, eventIndex: eventIndex)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    for _ in 0..<4 { driver.add([Buffer(guestAddress: queue.data(0), byteCount: 8)]) }
    driver.publish()
    #expect(!device.publish(), "nothing was answered")
    driver.disarmCall()
    device.put(try #require(try device.take()).id, writtenByteCount: 0)
    #expect(device.publish() == (format == .split && eventIndex))
    device.put(try #require(try device.take()).id, writtenByteCount: 0)
    #expect(!device.publish())
    #expect(driver.armCall(), "there are answers: no sleeping")
    while try driver.takeUsed() != nil {}
    #expect(!driver.armCall())
    device.put(try #require(try device.take()).id, writtenByteCount: 0)
    #expect(device.publish(), "armed again")
  }

  @Test(arguments: bothFormats, [0, 3, 0xfffd] as [UInt16])
  func aStoppedQueueGoesOnWhereItWas(format: DeviceQueue.Format, start: UInt16) throws {
    let queue = try TestQueue(format, entryCount: format == .split ? 4 : 5)
    let driver = queue.makeDriver(start: format == .split ? start : (start & 3) | (start & 0x8000 ^ 0x8000))
    var base = driver.base
    for round in 0..<20 {
      let device = try queue.makeDevice(base: base)
      for _ in 0..<3 { driver.add([Buffer(guestAddress: queue.data(round * 8), byteCount: 8)]) }
      driver.publish()
      for _ in 0..<3 {
        device.put(try #require(try device.take(), "round \(round)").id, writtenByteCount: UInt32(round))
      }
      device.publish()
      base = device.base
      for _ in 0..<3 { #expect(try driver.takeUsed()?.writtenByteCount == UInt32(round)) }
    }
  }

  @Test(arguments: bothFormats)
  func aBufferAcrossTwoRegionsBecomesTwo(format: DeviceQueue.Format) throws {
    let queue = try TestQueue(format, entryCount: 4)
    let more = try SharedRegion(anonymousByteCount: 4096).bytes
    let end = TestQueue.guestAddress + UInt64(queue.bytes.byteCount)
    try queue.memory.add(more, guestAddress: end, userAddress: 0)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    driver.add([Buffer(guestAddress: end - 100, byteCount: 4196, isWritable: true)])
    driver.publish()
    let chain = try #require(try device.take())
    #expect(chain.elementCount == 2 && chain.writableByteCount == 4196)
    #expect(device.element(0).byteCount == 100 && device.element(1) == GuestBuffer(address: more.address, byteCount: 4096, region: 1))
  }

  @Test(arguments: bothFormats)
  func writesToTheRingAreMarkedWhileTheGuestIsCopied(format: DeviceQueue.Format) throws {
    let queue = try TestQueue(format, entryCount: 512)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    let bitmap = try SharedRegion(anonymousByteCount: 1 << 16).bytes
    queue.memory.dirtyLog.use(bitmap)
    func answerOne() throws {
      driver.add([Buffer(guestAddress: queue.data(0), byteCount: 8)])
      driver.publish()
      device.put(try #require(try device.take()).id, writtenByteCount: 0)
      device.publish()
    }
    func markedPages() -> [Int] { (0..<bitmap.byteCount * 8).filter { bitmap.load8(at: $0 / 8) & 1 << UInt8($0 % 8) != 0 } }
    try answerOne()
    #expect(markedPages() == [], "nobody asked for it")
    queue.memory.dirtyLog.setActive(true)
    try answerOne()
    #expect(markedPages() == [Int((queue.parts.logAddress ?? 0) / 4096)])
  }
}
