import CLinuxShims
import Glibc
public import SystemPackage

/// Tells that an interface of a network namespace has changed, not what: whoever is told looks again (`RTMGRP_LINK`, rtnetlink(7)).
///
/// Bound to the namespace of the thread that made it.
public struct LinkEvents: ~Copyable, Sendable {
  private let socket: OwnedDescriptor
  /// `RTMGRP_LINK`
  private static let group: UInt32 = 1

  public init() throws(Errno) {
    let socket = OwnedDescriptor(owning: try check(pvio_route_socket(Self.group)))
    try socket.setNonBlocking(true)
    self.socket = socket
  }

  /// Takes over the socket that ``release()`` gave up.
  public init(owning descriptor: Int32) { socket = OwnedDescriptor(owning: descriptor) }

  /// Gives the socket up without closing it: for handing it from the thread that was in the namespace to another one.
  public consuming func release() -> Int32 { socket.release() }

  /// Readable when something has changed.
  public var descriptor: Int32 { socket.rawValue }

  /// Forgets what has been told until now. What did not fit the socket (`ENOBUFS`) was told as well.
  public func take() {
    var buffer = [UInt8](repeating: 0, count: 8192)
    // SAFETY: at most as many bytes are written as the array has.
    while unsafe recv(socket.rawValue, &buffer, buffer.count, 0) > 0 || Errno.last == .noBufferSpace {}
  }
}
