public import LinuxSystem
public import NetPackets

extension TapDevice.Offloads {
  /// What the kernel may leave to do on frames for somebody who passes them on with `capabilities`.
  ///
  /// The kernel leaves checksums of both families or of neither, and segments only together with checksums.
  public init(passedOnBy capabilities: FrameCapabilities) {
    self = []
    guard capabilities.isSuperset(of: [.checksumV4, .checksumV6]) else { return }
    insert(.checksum)
    guard capabilities.contains(.scatterGather) else { return }
    if capabilities.contains(.segmentationV4) { insert(.segmentationV4) }
    if capabilities.contains(.segmentationV6) { insert(.segmentationV6) }
  }
}
