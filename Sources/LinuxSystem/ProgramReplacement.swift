import CLinuxShims
import Glibc
public import SystemPackage

/// Going on as another program in the same process (`execve`), with files that stay open.
public enum ProgramReplacement {
  /// The argument by which a program knows that it takes another one's place, and with which it has its signal handlers at once; the next
  /// argument is the number of a descriptor.
  public static let argument = PVIO_STREAM_OPTION

  /// Replaces the running program: same process number, same open files where they are in `descriptors` (and the standard streams),
  /// everything else gone. Returns only when that failed, and then nothing has changed.
  ///
  /// Termination signals that come from now on wait until the new program calls ``acceptTerminationSignals()``.
  public static func replace(with program: String, arguments: [String], keeping descriptors: some Sequence<Int32>) -> Errno {
    for descriptor in descriptors { setCloseOnExec(false, descriptor) }
    setTerminationSignals(blocked: true)
    // SAFETY: each copy is freed once, after the call; the tables end with nil; the kernel copies everything before it ends the program.
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
    defer { for unsafe pointer in unsafe pointers { unsafe free(pointer) } }
    unsafe execve(program, &pointers, environ)
    let failure = Errno.last
    setTerminationSignals(blocked: false)
    for descriptor in descriptors { setCloseOnExec(true, descriptor) }
    return failure
  }

  /// Lets the calling thread, and those it starts from now on, receive the signals that ``replace(with:arguments:keeping:)`` held back.
  public static func acceptTerminationSignals() { setTerminationSignals(blocked: false) }

  private static func setCloseOnExec(_ enabled: Bool, _ descriptor: Int32) {
    _ = fcntl(descriptor, F_SETFD, enabled ? FD_CLOEXEC : 0)
  }

  private static func setTerminationSignals(blocked: Bool) {
    // SAFETY: a local set, initialised by the first call and read by the last.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
    unsafe pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &signals, nil)
  }
}

extension OwnedDescriptor {
  /// Takes over a descriptor that the program before this one left open, and makes it close-on-exec again.
  /// Throws `EBADF` when there is none of this number.
  public init(inherited rawValue: Int32) throws(Errno) {
    try check(fcntl(rawValue, F_SETFD, FD_CLOEXEC))
    self.init(owning: rawValue)
  }
}
