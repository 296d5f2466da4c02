public import ArgumentParser
import Glibc
import ProcessPlatform
import SystemPackage
import XenHostPlatform
public import XenInterface
public import XenPlatform
public import XenStoreClient

/// Where domains live, seen from its control domain: what carries their memory and events, and the store.
public struct Host: Sendable {
  public enum Kind: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// Processes that a pvio daemon has introduced to each other.
    case process
    /// The domains of this Xen host.
    case xen
  }

  public let platform: any XenPlatform
  public let store: XenStoreClient
  /// The daemon, which knows its domains by name; nil on a Xen host, whose store does.
  private let daemon: ProcessPlatform?

  /// Connects to the platform and the store that `common` names. Throws the line that the user sees.
  ///
  /// - Parameter domain: acted for. On a Xen host, the one that this process runs in.
  public static func connect(_ common: CommonOptions, as domain: DomainID = .control) throws -> Host {
    switch common.platform {
    case .process:
      let platform = try DaemonConnection.platform(common.runDirectory, as: domain)
      return Host(platform: platform, store: try DaemonConnection.store(common.runDirectory, as: domain), daemon: platform)
    case .xen:
      let platform: XenHostPlatform
      do throws(PlatformError) { platform = try XenHostPlatform(domain: domain) } catch {
        throw CommandFailure("\(error): --platform xen is for domain 0 of a Xen host, with the modules xen-gntdev and xen-evtchn, by root")
      }
      return Host(platform: platform, store: try store(common), daemon: nil)
    }
  }

  /// Leaves both.
  public func close() {
    store.close()
    daemon?.disconnect()
  }

  /// Only the store.
  public static func store(_ common: CommonOptions) throws -> XenStoreClient {
    guard common.platform == .xen else { return try DaemonConnection.store(common.runDirectory) }
    do {
      return try XenStoreClient(path: xenStoreSocket)
    } catch {
      throw CommandFailure("cannot connect to \(xenStoreSocket): \(error); is xenstored running? $XENSTORED_PATH names another socket")
    }
  }

  /// A domain by number or by the name that its toolstack gave it.
  public func domain(named text: String) async throws -> DomainID {
    if let daemon { return try DomainLookup.find(text, daemon) }
    let numbers = try await store.directory("/local/domain").compactMap { UInt16($0).map(DomainID.init) }
    if let number = UInt16(text).map(DomainID.init), numbers.contains(number) { return number }
    var matches: [DomainID] = []
    for number in numbers where try await store.readIfPresent("/local/domain/\(number)/name") == text { matches.append(number) }
    guard let match = matches.first else { throw CommandFailure("there is no domain '\(text)': see 'xl list'") }
    guard matches.count == 1 else { throw CommandFailure("\(matches.count) domains are called '\(text)': use a number") }
    return match
  }

  /// Where Xen's own tools look for it.
  private static var xenStoreSocket: String {
    // SAFETY: a terminated string of the environment, which this program never changes; copied here.
    if let path = unsafe getenv("XENSTORED_PATH") { return unsafe String(cString: path) }
    return "/run/xenstored/socket"
  }
}
