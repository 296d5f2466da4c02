public import EventLoop
public import SharedMemory
public import VirtioInterface
public import VirtioRing

/// A queue that has been started: its ring, and its kick and call.
public final class VhostUserQueue {
  public let index: Int
  /// What the driver and this device agreed on.
  public let features: VirtioFeatures
  public let ring: FixedCell<DeviceQueue>
  /// Told once when the driver broke the ring: the queue is not served any more.
  let onFault: (VhostUserQueue, VirtqueueFault) -> Void
  public internal(set) var events: LoopEventChannel?
  public private(set) var fault: VirtqueueFault?
  /// Whether there is a ``fault``. Apart from the object, so that no look is checked for overlapping accesses.
  @usableFromInline let broken = FixedCell(false)
  @inlinable public var isBroken: Bool { broken.value }

  init(
    index: Int, features: VirtioFeatures, ring: consuming DeviceQueue, onFault: @escaping (VhostUserQueue, VirtqueueFault) -> Void
  ) {
    self.index = index
    self.features = features
    self.ring = FixedCell(ring)
    self.onFault = onFault
  }

  /// Shows all answers to the driver, and calls it if it wants that. Returns whether it did.
  @discardableResult @inline(__always) public func publish() -> Bool {
    guard fault == nil, ring.value.publish() else { return false }
    events?.signal()
    return true
  }

  /// The driver did what no driver does.
  public func giveUp(_ fault: VirtqueueFault) {
    guard self.fault == nil else { return }
    self.fault = fault
    broken.value = true
    onFault(self, fault)
  }

  /// The last thing before the loop sleeps: asks for a kick. True: there is work already. `sawChains`: the last kick came with some.
  public func armKick(sawChains: Bool) -> Bool {
    guard fault == nil else { return false }
    if let events, events.isPending { events.rearm(spurious: !sawChains) }
    return ring.value.armKick()
  }
}
