/// What the hypervisor's kernel does for the peer when a page goes that both share: a byte of it becomes 0, and the peer is signalled.
///
/// So an end that was killed is seen to have left, where nothing else tells (`IOCTL_GNTDEV_SET_UNMAP_NOTIFY`, xen/gntdev.h of Linux).
public struct UnmapNotice: Sendable {
  /// Of the byte, in the first page.
  public var byteOffset: Int
  /// Signalled after that.
  public var channel: EventChannel

  public init(clearing byteOffset: Int, signalling channel: EventChannel) {
    self.byteOffset = byteOffset
    self.channel = channel
  }
}
