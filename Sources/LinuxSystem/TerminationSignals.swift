import CLinuxShims
import Glibc
public import SystemPackage

// SAFETY of the calls below: each gets one local variable, and the size or count of exactly that variable.

/// SIGINT, SIGTERM and SIGHUP as something to wait for, instead of a handler that interrupts.
public final class TerminationSignals: Sendable {
  private let descriptor: OwnedDescriptor

  /// Blocks the signals for the calling thread and every thread started later: call it first in `main`. Ignores SIGPIPE.
  public init() throws(Errno) {
    signal(SIGPIPE, SIG_IGN)
    let mask: UInt64 = [SIGINT, SIGTERM, SIGHUP].reduce(0) { $0 | 1 << UInt64($1 - 1) }
    descriptor = OwnedDescriptor(owning: try check(pvio_signalfd(mask)))
  }

  /// Blocks until one of the signals comes, and returns its number; nil when `timeoutMilliseconds` pass first (-1: no limit).
  public func wait(timeoutMilliseconds: Int32 = -1) -> Int32? {
    var entry = pollfd(fd: descriptor.rawValue, events: Int16(POLLIN), revents: 0)
    guard unsafe Glibc.poll(&entry, 1, timeoutMilliseconds) > 0 else { return nil }
    var information = signalfd_siginfo()
    let size = MemoryLayout<signalfd_siginfo>.size
    guard unsafe read(descriptor.rawValue, &information, size) == size else { return nil }
    return Int32(information.ssi_signo)
  }

  /// Becomes readable when a signal is there.
  public var rawDescriptor: Int32 { descriptor.rawValue }
}
