import Glibc
import LinuxSystem
import ProcessPlatform
import SystemPackage
import XenInterface
import XenPlatform
import XenStoreClient

/// How commands reach a running daemon, with one clear line when they cannot.
enum DaemonConnection {
  /// The store as `domain` sees it.
  static func store(
    _ directory: RunDirectory, as domain: DomainID = .control, _ configuration: XenStoreClient.Configuration = XenStoreClient.Configuration()
  ) throws -> XenStoreClient {
    let path = directory.sockets(of: domain).store
    do {
      return try XenStoreClient(path: path, configuration: configuration)
    } catch .noSuchFileOrDirectory, .connectionRefused {
      throw absent(directory, domain)
    } catch {
      throw CommandFailure("cannot connect to \(path): \(error)")
    }
  }

  /// The broker as `domain` sees it.
  static func platform(_ directory: RunDirectory, as domain: DomainID = .control) throws -> ProcessPlatform {
    let path = directory.sockets(of: domain).broker
    do {
      return try ProcessPlatform.connect(socketPath: path)
    } catch {
      if case .system(_, let errno) = error, errno == .noSuchFileOrDirectory || errno == .connectionRefused { throw absent(directory, domain) }
      throw CommandFailure("cannot connect to \(path): \(error)")
    }
  }

  private static func absent(_ directory: RunDirectory, _ domain: DomainID) -> CommandFailure {
    if domain != .control, LockedFile.holder(of: directory.lock) != nil {
      return CommandFailure("there is no domain \(domain): make it with 'pvio domain create --domid \(domain)'")
    }
    return CommandFailure("no pvio daemon in \(directory.path): start one with 'pvio daemon --run-dir \(directory.path)'")
  }
}

/// Hands what was printed to whoever reads it, at once.
func flushOutput() { fflush(nil) }
