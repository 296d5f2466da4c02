import NetPackets
import SharedMemory

/// The header before each frame to and from a TAP interface (`struct virtio_net_hdr`, linux/virtio_net.h), in private memory. Its
/// numbers are in the machine's order, which is little-endian wherever this runs.
private enum TapHeader {
  // Offsets.
  static let flags = 0, segmentation = 1, headerByteCount = 2, segmentByteCount = 4, checksumStart = 6, checksumOffset = 8
  // `VIRTIO_NET_HDR_F_…`
  static let needsChecksum: UInt8 = 1, isValidated: UInt8 = 2
  // `VIRTIO_NET_HDR_GSO_…`
  static let none: UInt8 = 0, tcpv4: UInt8 = 1, tcpv6: UInt8 = 4, datagrams: UInt8 = 5, congestion: UInt8 = 0x80
}

extension FrameOffload {
  /// Reads the header at `offset`; nil for what was not asked for (UDP by IP fragments).
  init?(tapHeader memory: borrowing SharedBytes, at offset: Int) {
    self.init()
    let flags = memory.load8(at: offset + TapHeader.flags)
    needsChecksum = flags & TapHeader.needsChecksum != 0
    isValidated = flags & TapHeader.isValidated != 0
    if needsChecksum {
      checksumStart = memory.load16(at: offset + TapHeader.checksumStart)
      checksumOffset = memory.load16(at: offset + TapHeader.checksumOffset)
    }
    switch memory.load8(at: offset + TapHeader.segmentation) & ~TapHeader.congestion {
    case TapHeader.none: return
    case TapHeader.tcpv4: segmentation = .tcpv4
    case TapHeader.tcpv6: segmentation = .tcpv6
    case TapHeader.datagrams: segmentation = .datagrams
    default: return nil
    }
    segmentByteCount = memory.load16(at: offset + TapHeader.segmentByteCount)
    if segmentByteCount == 0 { return nil }
  }
}

extension Frame {
  /// Writes the header that describes the frame; false when a checksum is to be done and nobody knows where.
  func writeTapHeader(to memory: borrowing SharedBytes, at offset: Int) -> Bool {
    var flags: UInt8 = 0
    if offload.needsChecksum {
      guard offload.checksumStart != 0 else { return false }
      flags = TapHeader.needsChecksum
    } else if offload.isValidated {
      flags = TapHeader.isValidated
    }
    var segmentation = TapHeader.none
    switch offload.segmentation {
    case .none: break
    case .tcpv4: segmentation = TapHeader.tcpv4
    case .tcpv6: segmentation = TapHeader.tcpv6
    case .datagrams: segmentation = TapHeader.datagrams
    }
    memory.store8(flags, at: offset + TapHeader.flags)
    memory.store8(segmentation, at: offset + TapHeader.segmentation)
    memory.store16(UInt16(clamping: linearByteCount), at: offset + TapHeader.headerByteCount)
    memory.store16(segmentation == TapHeader.none ? 0 : offload.segmentByteCount, at: offset + TapHeader.segmentByteCount)
    memory.store16(offload.needsChecksum ? offload.checksumStart : 0, at: offset + TapHeader.checksumStart)
    memory.store16(offload.needsChecksum ? offload.checksumOffset : 0, at: offset + TapHeader.checksumOffset)
    return true
  }

  /// How much of the frame the kernel is to keep in one piece: the headers, of a large frame to the byte, so that payloads of segments
  /// can be joined. Without that the kernel would look for contiguous memory for all of a large frame.
  private var linearByteCount: Int {
    guard offload.segmentation != .none else { return headByteCount }
    let start = Int(offload.checksumStart)
    if offload.segmentation == .datagrams { return start + 8 }
    guard start + 13 <= headByteCount else { return headByteCount }
    return start + Int(head.load8(at: start + 12) >> 4) * 4
  }
}
