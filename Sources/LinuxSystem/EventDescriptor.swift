import CLinuxShims
import Glibc
public import SystemPackage

/// Counters to wait on and to signal (`eventfd(2)`).
public enum EventDescriptor {
  /// A close-on-exec counter that starts at zero.
  ///
  /// One that is written to through io_uring must be non-blocking: the kernel cannot add to another one at once, and gives it to a
  /// worker thread after many attempts.
  public static func create(nonBlocking: Bool = true) throws(Errno) -> OwnedDescriptor {
    OwnedDescriptor(owning: try check(pvio_eventfd(0, Int32(nonBlocking ? EFD_NONBLOCK | EFD_CLOEXEC : EFD_CLOEXEC))))
  }

  /// Adds one. Only for counters that no other process holds: a peer could make this block.
  public static func signal(_ descriptor: borrowing OwnedDescriptor) {
    var one: UInt64 = 1
    // SAFETY: eight bytes are read from a variable of eight bytes.
    _ = unsafe Glibc.write(descriptor.rawValue, &one, 8)
  }

  /// Whether one can be added without waiting, at this moment. False only when the count is as high as it can be.
  public static func isWritable(_ descriptor: borrowing OwnedDescriptor) -> Bool {
    var poll = pollfd(fd: descriptor.rawValue, events: Int16(POLLOUT), revents: 0)
    // SAFETY: one entry is given and one is what the count says.
    return unsafe Glibc.poll(&poll, 1, 0) == 1
  }

  /// Waits until one of two counters is not zero.
  public static func wait(for first: borrowing OwnedDescriptor, or second: borrowing OwnedDescriptor) {
    var descriptors = [
      pollfd(fd: first.rawValue, events: Int16(POLLIN), revents: 0), pollfd(fd: second.rawValue, events: Int16(POLLIN), revents: 0),
    ]
    // SAFETY: two entries are given and two is what the count says. An interrupted wait ends early: the caller looks again.
    _ = unsafe descriptors.withUnsafeMutableBufferPointer { unsafe poll($0.baseAddress, 2, -1) }
  }

  /// Whether the count is not zero, at this moment.
  public static func isReadable(_ descriptor: borrowing OwnedDescriptor) -> Bool {
    var poll = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
    // SAFETY: one entry is given and one is what the count says.
    return unsafe Glibc.poll(&poll, 1, 0) == 1
  }

  /// Takes the count and resets it; zero when nothing was signalled. Only for counters that no other process holds.
  @discardableResult
  public static func drain(_ descriptor: borrowing OwnedDescriptor) -> UInt64 {
    var count: UInt64 = 0
    // SAFETY: at most eight bytes are written to a variable of eight bytes.
    return unsafe Glibc.read(descriptor.rawValue, &count, 8) == 8 ? count : 0
  }
}
