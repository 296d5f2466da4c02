import CLinuxShims
import Glibc
public import SystemPackage

/// One event channel of a Xen host: an open `/dev/xen/evtchn` with a single port bound in it (`xen/evtchn.h` of Linux).
///
/// Reading gives the port's number (4 bytes) when an event has come; the port is masked from then on, until its number is written back.
public struct EventChannelDevice: ~Copyable, Sendable {
  public let descriptor: OwnedDescriptor
  /// The port's number in this domain.
  public let port: UInt32

  public static let path = "/dev/xen/evtchn"
  /// Bytes of a port's number, as the device reads and writes it.
  public static let portByteCount = 4

  /// A port bound to `remotePort` of `remoteDomain`. It has an event pending at once, so that none sent before is missed.
  /// Throws `EINVAL` when that port is not free for us, `ESRCH` when there is no such domain.
  public init(bindingTo remotePort: UInt32, of remoteDomain: UInt16) throws(Errno) {
    let device = try OwnedDescriptor.open(Self.path, flags: Self.flags)
    port = UInt32(try check(pvio_evtchn_bind_interdomain(device.rawValue, UInt32(remoteDomain), remotePort)))
    descriptor = device
  }

  /// A new port that `remoteDomain` can bind to.
  public init(allocatedFor remoteDomain: UInt16) throws(Errno) {
    let device = try OwnedDescriptor.open(Self.path, flags: Self.flags)
    port = UInt32(try check(pvio_evtchn_bind_unbound(device.rawValue, UInt32(remoteDomain))))
    descriptor = device
  }

  private static let flags = O_RDWR | O_NONBLOCK

  /// Sends an event. One system call; nobody can block it. A port whose other end is gone takes it without an error.
  public static func notify(_ device: Int32, port: UInt32) { _ = pvio_evtchn_notify(device, port) }

  /// Takes a pending event, if there is one, and lets the next through.
  public static func drain(_ device: borrowing OwnedDescriptor, port: UInt32) -> Bool {
    var number = port
    // SAFETY: four bytes of a local variable, read and then written.
    guard unsafe read(device.rawValue, &number, portByteCount) == portByteCount else { return false }
    _ = unsafe write(device.rawValue, &number, portByteCount)
    return true
  }
}
