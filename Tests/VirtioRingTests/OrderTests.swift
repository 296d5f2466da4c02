import SharedMemory
import TestSupport
import Testing
import VirtioRing

/// Queues whose answers are shown in the order of their chains (`VIRTIO_F_IN_ORDER`).
@Suite struct OrderTests {
  private typealias Buffer = DriverQueue.Buffer

  @Test(arguments: bothFormats)
  func anAnswerWaitsForThoseToTheChainsBeforeIt(format: DeviceQueue.Format) throws {
    let queue = try TestQueue(format, entryCount: 8, inOrder: true)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    for _ in 0..<5 { driver.add([Buffer(guestAddress: queue.data(0), byteCount: 64, isWritable: true)]) }
    driver.publish()
    let ids = try (0..<5).map { _ in try #require(try device.take()).id }
    func used() throws -> [UInt16] {
      device.publish()
      var used: [UInt16] = []
      while let next = try driver.takeUsed() {
        #expect(next.writtenByteCount == UInt32(next.id) + 1)
        used.append(next.id)
      }
      return used
    }
    func put(_ position: Int) { device.put(ids[position], writtenByteCount: UInt32(ids[position]) + 1) }
    put(3)
    put(1)
    #expect(try used() == [] && device.unansweredCount == 3)
    put(0)
    #expect(try used() == Array(ids[0...1]))
    put(4)
    put(2)
    #expect(try used() == Array(ids[2...4]) && device.unansweredCount == 0 && driver.freeCount == 8)
  }

  @Test(arguments: bothFormats)
  func aChainThatWasGivenBackComesAgainInItsPlace(format: DeviceQueue.Format) throws {
    let queue = try TestQueue(format, entryCount: 4, inOrder: true)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    for _ in 0..<3 { driver.add([Buffer(guestAddress: queue.data(0), byteCount: 64)]) }
    driver.publish()
    let chains = try (0..<3).map { _ in try #require(try device.take()) }
    device.giveBack(chains[2])
    device.giveBack(chains[1])
    #expect(try device.take()?.id == chains[1].id)
    device.put(chains[1].id)
    device.put(chains[0].id)
    device.publish()
    #expect(try [driver.takeUsed()?.id, driver.takeUsed()?.id, driver.takeUsed()?.id] == [chains[0].id, chains[1].id, nil])
    #expect(try device.take()?.id == chains[2].id)
  }

  /// Many rounds, answered in a seeded order.
  @Test(arguments: bothFormats, [1, 2, 3] as [UInt64])
  func theDriverNeverSeesAnotherOrder(format: DeviceQueue.Format, seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let queue = try TestQueue(format, entryCount: 8, inOrder: true)
    let driver = queue.makeDriver()
    let device = try queue.makeDevice(base: driver.base)
    var sent: [UInt16] = []
    var taken: [UInt16] = []
    var seen = 0
    for _ in 0..<2000 {
      while Bool.random(using: &random), let id = driver.add([Buffer(guestAddress: queue.data(0), byteCount: 8, isWritable: true)]) { sent.append(id) }
      driver.publish()
      while Bool.random(using: &random), let chain = try device.take() { taken.append(chain.id) }
      while Bool.random(using: &random), let position = taken.indices.randomElement(using: &random) { device.put(taken.remove(at: position)) }
      device.publish()
      while let used = try driver.takeUsed() {
        #expect(used.id == sent[seen])
        seen += 1
      }
    }
    #expect(seen > 500 && device.unansweredCount == taken.count)
  }
}
