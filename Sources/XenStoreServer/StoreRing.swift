public import XenPlatform

/// A domain's page as it is mapped here, and our end of its event channel. Both are given back when the last reference goes away.
public final class StoreRing {
  let page: GrantMapping
  let channel: EventChannel

  /// `page` is one page. The channel is bound to the domain's port.
  public init(page: consuming GrantMapping, channel: EventChannel) {
    self.page = page
    self.channel = channel
  }
}
