public import SystemPackage
public import XenInterface

/// Why a platform call failed.
public enum PlatformError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The caller's domain may not do this.
  case notPermitted(operation: String, domain: DomainID)
  case noSuchDomain(DomainID)
  /// No such port, or not one that the caller may bind to.
  case noSuchPort(EventChannelPort, of: DomainID)
  /// A limit was reached: which one, of which domain, and its value.
  case quotaExceeded(quota: String, domain: DomainID, limit: Int)
  /// The broker went away.
  case disconnected
  /// A system call failed.
  case system(operation: String, Errno)
  /// The broker, or a fault plan, refused for another reason.
  case refused(operation: String, reason: String)

  public var description: String {
    switch self {
    case .notPermitted(let operation, let domain): "domain \(domain) may not \(operation)"
    case .noSuchDomain(let domain): "there is no domain \(domain)"
    case .noSuchPort(let port, let domain): "event channel port \(port) of domain \(domain) does not exist or is not free to bind"
    case .quotaExceeded(let quota, let domain, let limit): "domain \(domain) has reached its quota '\(quota)' of \(limit)"
    case .disconnected: "the pvio daemon is not reachable any more"
    case .system(let operation, let errno): "\(operation): \(errno)"
    case .refused(let operation, let reason): "\(operation) was refused: \(reason)"
    }
  }
}

/// Why a grant could not be mapped: the peer's mistake, or a page it has taken back (`GNTST_*`, xen/include/public/grant_table.h).
public enum GrantError: Error, Sendable, Equatable, CustomStringConvertible {
  /// No such reference, or not granted to us (`GNTST_bad_gntref`).
  case badReference(GrantReference)
  /// Granted read-only, and a writable mapping was asked for (`GNTST_permission_denied`).
  case readOnly(GrantReference)
  /// The entry names a page outside the arena (`GNTST_bad_page`).
  case badPage(GrantReference, frame: UInt64)
  /// The granter changed the entry while it was being mapped (`GNTST_eagain`).
  case changedWhileMapping(GrantReference)
  /// More pages are mapped than this mapper allows (`GNTST_no_space`).
  case tooManyMapped(limit: Int)
  /// The platform could not provide the memory.
  case platform(PlatformError)

  public var description: String {
    switch self {
    case .badReference(let reference): "grant reference \(reference) is not granted to this domain"
    case .readOnly(let reference): "grant reference \(reference) is read-only"
    case .badPage(let reference, let frame): "grant reference \(reference) names frame \(frame), which its arena does not have"
    case .changedWhileMapping(let reference): "grant reference \(reference) was changed while it was being mapped"
    case .tooManyMapped(let limit): "more than \(limit) pages are mapped"
    case .platform(let error): error.description
    }
  }
}
