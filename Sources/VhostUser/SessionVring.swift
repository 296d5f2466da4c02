import LinuxSystem
import VirtioRing

/// What the VMM has said of one queue so far.
struct SessionVring {
  var entryCount: Int?
  var address: VringAddressMessage?
  /// Where to go on (`SET_VRING_BASE`, or where it was stopped); nil: at the beginning.
  var base: UInt32?
  /// The VMM has sent a kick since the queue was last stopped; with or without a descriptor.
  var hasKick = false
  var kick: SharedDescriptor?
  var call: SharedDescriptor?
  var error: SharedDescriptor?
  var isEnabled = false
  /// Started and not stopped.
  var running: VhostUserQueue?

  /// Whether everything is there that a queue needs.
  var isComplete: Bool { entryCount != nil && address != nil && hasKick && isEnabled }
}
