import Glibc
import LinuxSystem
public import ProcessPlatform
import SystemPackage
public import XenInterface
import XenPlatform
public import XenStoreClient

/// How commands reach a running daemon, with one clear line when they cannot.
public enum DaemonConnection {
  /// The store as `domain` sees it.
  public static func store(
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

  /// The store as `domain` sees it, over a page of memory: of the daemon's sockets, only the domain's broker is needed.
  public static func storeRing(_ directory: RunDirectory, as domain: DomainID, requestTimeLimit: Duration?) throws -> XenStoreClient {
    let platform = try platform(directory, as: domain)
    do {
      let arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      guard let page = arena.allocatePage() else { preconditionFailure("an arena of one page has none") }
      let reference = arena.grant(page: page)
      let channel = try platform.allocateUnboundChannel(for: .control)
      let port = channel.port
      let transport = try XenStoreRingTransport(arena: arena, page: page, channel: channel)
      try platform.connectStore(page: reference, port: port)
      platform.onDisconnect { [weak transport] in transport?.close() }
      return XenStoreClient(transport: transport, requestTimeLimit: requestTimeLimit)
    } catch {
      throw CommandFailure("cannot connect to the store over a page: \(error)")
    }
  }

  /// The broker as `domain` sees it.
  public static func platform(_ directory: RunDirectory, as domain: DomainID = .control) throws -> ProcessPlatform {
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
public func flushOutput() { fflush(nil) }
