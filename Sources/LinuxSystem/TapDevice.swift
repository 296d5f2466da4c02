import CLinuxShims
import Glibc
public import SystemPackage

/// What the kernel lets a program do with one queue of a TAP interface, each of which is an open `/dev/net/tun` (linux/if_tun.h).
///
/// The descriptor belongs to the network namespace of the thread that opened it, and can be used from everywhere.
public enum TapDevice {
  public static let path = "/dev/net/tun"

  /// What frames that are read may still have to be done to (`TUN_F_CSUM`, …).
  public struct Offloads: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let checksum = Offloads(rawValue: UInt32(PVIO_TAP_CHECKSUM))
    public static let segmentationV4 = Offloads(rawValue: UInt32(PVIO_TAP_TSO4))
    public static let segmentationV6 = Offloads(rawValue: UInt32(PVIO_TAP_TSO6))
    /// UDP over both families: the kernel knows both of `TUN_F_USO4` and `TUN_F_USO6` or, before Linux 6.2, neither.
    public static let datagrams = Offloads(rawValue: UInt32(PVIO_TAP_USO))
  }

  /// Opens the device for a queue that has no interface yet.
  public static func open() throws(Errno) -> OwnedDescriptor { try OwnedDescriptor.open(path, flags: O_RDWR) }

  /// Makes it a queue of the TAP interface `name`, with a virtio header before each frame; makes the interface when there is none
  /// (`TUNSETIFF`). `exclusively` refuses one that exists.
  /// - Throws: `EBUSY`: it exists or is in use; `EPERM`: not allowed; `EINVAL`: there is something else of this name, or it differs
  ///   in `isMultiQueue`; `E2BIG`: too many queues.
  public static func attach(
    _ queue: borrowing OwnedDescriptor, to name: String, isMultiQueue: Bool, exclusively: Bool
  ) throws(Errno) {
    let flags =
      Int32(PVIO_TAP) | Int32(PVIO_TAP_NO_PACKET_INFORMATION) | Int32(PVIO_TAP_VNET_HEADER)
      | (isMultiQueue ? Int32(PVIO_TAP_MULTI_QUEUE) : 0) | (exclusively ? Int32(PVIO_TAP_EXCLUSIVE) : 0)
    // SAFETY: the name is a terminated string for the length of the call, of which at most 15 bytes are copied.
    try check(unsafe pvio_tap_attach(queue.rawValue, name, flags))
  }

  /// Length of the virtio header before each frame in bytes: 10, or 12 (`TUNSETVNETHDRSZ`). Holds for all queues of the interface.
  public static func setHeader(byteCount: Int, _ queue: borrowing OwnedDescriptor) throws(Errno) {
    try check(pvio_tap_set_vnet_header_size(queue.rawValue, Int32(byteCount)))
  }

  /// What the kernel may leave to do on the frames of the interface (`TUNSETOFFLOAD`). Holds for all queues.
  public static func setOffloads(_ offloads: Offloads, _ queue: borrowing OwnedDescriptor) throws(Errno) {
    try check(pvio_tap_set_offload(queue.rawValue, offloads.rawValue))
  }

  /// Whether the interface stays when its last queue is closed (`TUNSETPERSIST`).
  public static func setPersistent(_ isPersistent: Bool, _ queue: borrowing OwnedDescriptor) throws(Errno) {
    try check(pvio_tap_set_persistent(queue.rawValue, isPersistent ? 1 : 0))
  }

  /// Whether the kernel uses this queue of a multi-queue interface (`TUNSETQUEUE`).
  public static func setAttached(_ isAttached: Bool, _ queue: borrowing OwnedDescriptor) throws(Errno) {
    try check(pvio_tap_set_queue(queue.rawValue, isAttached ? 1 : 0))
  }

  /// Whether the cable is plugged in, as the interface's users see it (`TUNSETCARRIER`, Linux 4.20).
  public static func setCarrier(_ isUp: Bool, _ queue: borrowing OwnedDescriptor) throws(Errno) {
    try check(pvio_tap_set_carrier(queue.rawValue, isUp ? 1 : 0))
  }
}
