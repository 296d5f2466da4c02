public import NetPackets

/// A port with nothing behind it: takes every frame and delivers none. For measuring a vif by itself.
public final class NullPort: NetPort {
  public override var capabilities: FrameCapabilities { .all.union(.datagrams) }

  /// All are done with as they come.
  public override func transmit(_ batch: FrameBatch, queue: Int) {}
}
