extension FrameCapabilities {
  /// Whether a receiver takes `frame` with what is left to be done with it. Whether it has room for its size is its own business.
  @inlinable public func takes(_ frame: Frame) -> Bool {
    if frame.offload.isComplete { return true }
    return takesOffload(of: frame)
  }

  @usableFromInline func takesOffload(of frame: Frame) -> Bool {
    switch frame.offload.segmentation {
    case .none: break
    case .tcpv4: if !contains(.segmentationV4) { return false }
    case .tcpv6: if !contains(.segmentationV6) { return false }
    case .datagrams:
      if isDisjoint(with: .datagrams) { return false }
      guard contains(FrameHeaders(of: frame).network == .ipv4 ? .datagramsV4 : .datagramsV6) else { return false }
    }
    if !frame.offload.needsChecksum || isSuperset(of: [.checksumV4, .checksumV6]) { return true }
    return takesChecksum(of: FrameHeaders(of: frame).network)
  }

  /// Whether a receiver takes TCP and UDP over this kind of IP without a checksum.
  func takesChecksum(of network: FrameHeaders.Network) -> Bool {
    switch network {
    case .none: false
    case .ipv4: contains(.checksumV4)
    case .ipv6: contains(.checksumV6)
    }
  }
}
