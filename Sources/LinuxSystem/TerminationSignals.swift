import CLinuxShims
import Glibc
public import SystemPackage

// SAFETY of the calls below: each gets one local variable, and the size or count of exactly that variable.

/// SIGINT, SIGTERM and SIGHUP as something to wait for, instead of a handler that interrupts.
public final class TerminationSignals: Sendable {
  private let pipe: OwnedDescriptor

  /// Takes the signals over for the whole process: make one, once.
  public init() throws(Errno) {
    pipe = OwnedDescriptor(owning: try check(pvio_signal_pipe()))
  }

  /// A descriptor from which the next program in this process (``ProgramReplacement``) reads which signals came before it was there; nil
  /// before the signals were taken over. Whoever got one here may have had no time to act on it.
  public static var record: Int32? {
    let reader = pvio_signal_record()
    return reader >= 0 ? reader : nil
  }

  /// Sends this process the signals again that the program before it had recorded. Call it when they are taken over.
  public static func repeatRecorded(in record: consuming OwnedDescriptor) {
    var number: UInt8 = 0
    while unsafe read(record.rawValue, &number, 1) == 1 { kill(getpid(), Int32(number)) }
  }

  /// Blocks until one of the signals comes, and returns its number; nil when `timeoutMilliseconds` pass first (-1: no limit).
  public func wait(timeoutMilliseconds: Int32 = -1) -> Int32? {
    var entry = pollfd(fd: pipe.rawValue, events: Int16(POLLIN), revents: 0)
    var ready: Int32
    repeat { ready = unsafe Glibc.poll(&entry, 1, timeoutMilliseconds) } while ready < 0 && Errno.last == .interrupted
    guard ready > 0 else { return nil }
    var number: UInt8 = 0
    return unsafe read(pipe.rawValue, &number, 1) == 1 ? Int32(number) : nil
  }
}
