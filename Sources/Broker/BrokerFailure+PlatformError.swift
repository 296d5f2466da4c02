import BrokerWire
import SystemPackage
import XenPlatform

extension BrokerFailure {
  init(_ error: PlatformError) {
    switch error {
    case .notPermitted(let operation, let domain): self = .notPermitted(operation: operation, domain: domain)
    case .noSuchDomain(let domain): self = .noSuchDomain(domain)
    case .noSuchPort(let port, let domain): self = .noSuchPort(port, of: domain)
    case .quotaExceeded(let quota, let domain, let limit): self = .quotaExceeded(quota: quota, domain: domain, limit: UInt64(limit))
    case .disconnected: self = .refused(operation: "the request", reason: "the daemon is shutting down")
    case .system(let operation, let errno): self = .system(operation: operation, errno: UInt32(bitPattern: errno.rawValue))
    case .refused(let operation, let reason): self = .refused(operation: operation, reason: reason)
    }
  }
}
