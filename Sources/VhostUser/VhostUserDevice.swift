public import EventLoop
public import VirtioInterface
public import VirtioRing

/// A virtio device that a VMM can use: what is offered, and what is done with the queues. To be overridden.
///
/// Every call comes on ``loop``'s thread. A device has one user at a time; when that goes, all queues are stopped, and another may come.
open class VhostUserDevice {
  public let loop: EventLoop
  /// Tells the VMM that the configuration space has changed; nil while nobody can be told.
  public internal(set) var notifyConfigurationChange: (() -> Void)?

  public init(loop: EventLoop) { self.loop = loop }

  /// Feature bits of the kind of device, besides those of the rings.
  open var features: VirtioFeatures { [] }
  /// Protocol features that only some devices have, such as an interface's MTU.
  open var protocolFeatures: VhostUserFeatures { [] }
  /// Queues there can be.
  open var queueCount: Int { 1 }
  /// The device's configuration space, as it is now.
  open var configuration: [UInt8] { [] }
  /// The guest writes to the configuration space. False when it may not.
  open func setConfiguration(_ bytes: [UInt8], at offset: Int) -> Bool { false }
  /// The VMM says how large packets may be. False when that is not possible.
  open func setMTU(_ mtu: UInt64) -> Bool { false }

  /// A queue has been started: take its chains from now on.
  open func started(_ queue: VhostUserQueue) {}
  /// A queue is to stop: take no more chains, answer those under way, then call `done`, once, maybe before this returns.
  open func stop(_ queue: VhostUserQueue, done: @escaping () -> Void) { done() }
  /// The guest's memory is another one than before, and nothing of the old one is under way.
  open func memoryChanged(_ memory: GuestMemory) {}
}
