import CLinuxShims
public import SystemPackage

/// A packet socket on a network interface (packet(7)): every frame that comes there, whoever it is for, and frames to be sent there.
public enum PacketSocket {
  /// What comes before each frame (`struct virtio_net_hdr`, linux/virtio_net.h).
  public static let headerByteCount = 10
  /// Room for what comes beside each frame: a control message with a `struct tpacket_auxdata` (linux/if_packet.h).
  public static let controlByteCount = 64
  /// `SOL_PACKET` and `PACKET_AUXDATA`, the control message's level and type.
  public static let controlLevel: Int32 = 263, auxiliaryData: Int32 = 8
  /// So much may wait in each direction.
  private static let bufferByteCount: Int32 = 8 << 20

  /// Opens one on interface `index` of the calling thread's namespace: promiscuous as long as it is open; what the host itself sends there
  /// is not seen.
  /// - Throws: `EPERM` without `CAP_NET_RAW`, `ENODEV` when there is no such interface.
  public static func open(interface index: Int32) throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(owning: try check(pvio_packet_socket(index, bufferByteCount)))
  }

  /// Frames that came while there was no room in the socket, since this was last asked (`PACKET_STATISTICS`).
  public static func takeDroppedCount(_ socket: borrowing OwnedDescriptor) -> UInt64 { UInt64(pvio_packet_take_dropped(socket.rawValue)) }
}
