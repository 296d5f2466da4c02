import SharedMemory
import VirtioRing

// The two sides as objects: the test library's macros cannot call methods of values that are not copyable.

final class DeviceSide {
  private var queue: DeviceQueue

  init(_ queue: consuming DeviceQueue) { self.queue = queue }

  var unansweredCount: Int { queue.unansweredCount }
  var base: UInt32 { queue.base }
  func element(_ position: Int) -> GuestBuffer { queue.elements[position] }
  func take() throws(VirtqueueFault) -> DeviceQueue.Chain? { try queue.take() }
  func hasChains() -> Bool { queue.hasChains() }
  func put(_ id: UInt16, writtenByteCount: UInt32 = 0) { queue.put(id, writtenByteCount: writtenByteCount) }
  func giveBack(_ chain: DeviceQueue.Chain) { queue.giveBack(chain) }
  @discardableResult func publish() -> Bool { queue.publish() }
  func armKick() -> Bool { queue.armKick() }
  func disarmKick() { queue.disarmKick() }
}

final class DriverSide {
  private var queue: DriverQueue

  init(_ queue: consuming DriverQueue) { self.queue = queue }

  var base: UInt32 { queue.base }
  var freeCount: Int { queue.freeCount }
  var outstandingCount: Int { queue.outstandingCount }
  @discardableResult func add(_ buffers: [DriverQueue.Buffer], table: DriverQueue.Table? = nil) -> UInt16? { queue.add(buffers, table: table) }
  @discardableResult func publish() -> Bool { queue.publish() }
  func takeUsed() throws(DriverQueue.Fault) -> DriverQueue.Used? { try queue.takeUsed() }
  func hasUsed() -> Bool { queue.hasUsed() }
  func armCall() -> Bool { queue.armCall() }
  func disarmCall() { queue.disarmCall() }
}
