import Glibc
import LinuxSystem
import SystemPackage
import XenInterface
import XenPlatform

/// Where the broker's sockets are: `broker.sock` for domain 0, `domains/N/broker.sock` for domain N.
struct RunDirectory {
  let path: String

  func socketPath(of domain: DomainID) -> String {
    domain == .control ? "\(path)/broker.sock" : "\(directoryPath(of: domain))/broker.sock"
  }

  /// Makes the directory that holds the domains' directories. It can be passed through by everybody: what protects a domain
  /// is its own directory.
  func prepare() throws(PlatformError) { try make("\(path)/domains", mode: 0o711) }

  func makeDirectory(of domain: DomainID) throws(PlatformError) { try make(directoryPath(of: domain), mode: 0o700) }

  // SAFETY of the calls below: each takes one path, a terminated string for the length of the call, and keeps nothing.

  func removeSocket(of domain: DomainID) { unsafe unlink(socketPath(of: domain)) }

  /// Removes the socket, and the directory if nothing else is in it.
  func removeDirectory(of domain: DomainID) {
    removeSocket(of: domain)
    unsafe rmdir(directoryPath(of: domain))
  }

  private func directoryPath(of domain: DomainID) -> String { "\(path)/domains/\(domain)" }

  private func make(_ path: String, mode: mode_t) throws(PlatformError) {
    do throws(Errno) {
      do throws(Errno) {
        try check(unsafe mkdir(path, mode))
      } catch {
        if error != .fileExists { throw error }
      }
      // A left-over directory may have other permissions, and the process's umask must not decide.
      try check(unsafe chmod(path, mode))
    } catch {
      throw .system(operation: "make directory \(path)", error)
    }
  }
}
