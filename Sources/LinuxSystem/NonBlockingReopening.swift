import Glibc
public import SystemPackage

extension SharedDescriptor {
  /// What a descriptor of ours names, opened once more, so that it can be made non-blocking without changing it for everybody who shares
  /// it: standard input is often the shell's as well. What cannot be opened again (a socket) is duplicated as it is.
  public static func reopened(_ descriptor: Int32, forWriting: Bool) throws(Errno) -> SharedDescriptor {
    let flags = (forWriting ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY
    do throws(Errno) {
      // A file would be opened at its start again.
      guard !RegularFile.isRegular(descriptor) else { throw .notSupported }
      return SharedDescriptor(try OwnedDescriptor.open("/proc/self/fd/\(descriptor)", flags: flags))
    } catch {
      return SharedDescriptor(owning: try check(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)))
    }
  }
}
