import LinuxSystem
public import NetPackets

extension TapInterface {
  /// Has the kernel leave to do what somebody with `capabilities` can pass on, and ``queues`` finish the rest: the kernel leaves the
  /// checksums of both families or of neither, and segments only together with checksums, and datagrams of both families or of neither.
  public func setOffloads(passedOnBy capabilities: FrameCapabilities) throws(TapError) {
    try setOffloads(TapDevice.Offloads(passedOnBy: passesDatagrams ? capabilities : capabilities.subtracting(.datagrams)))
    for queue in queues { queue.setCapabilities(capabilities) }
  }
}

extension TapDevice.Offloads {
  init(passedOnBy capabilities: FrameCapabilities) {
    self = []
    if capabilities.isDisjoint(with: [.checksumV4, .checksumV6]) { return }
    insert(.checksum)
    guard capabilities.contains(.scatterGather) else { return }
    if capabilities.isSuperset(of: [.checksumV4, .segmentationV4]) { insert(.segmentationV4) }
    if capabilities.isSuperset(of: [.checksumV6, .segmentationV6]) { insert(.segmentationV6) }
    if capabilities.isSuperset(of: [.checksumV4, .checksumV6, .datagramsV4, .datagramsV6]) { insert(.datagrams) }
  }
}
