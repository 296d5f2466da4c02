import BrokerWire
import SystemPackage
import XenPlatform

extension PlatformError {
  init(_ failure: BrokerFailure) {
    switch failure {
    case .notPermitted(let operation, let domain): self = .notPermitted(operation: operation, domain: domain)
    case .noSuchDomain(let domain): self = .noSuchDomain(domain)
    case .noSuchPort(let port, let domain): self = .noSuchPort(port, of: domain)
    case .quotaExceeded(let quota, let domain, let limit): self = .quotaExceeded(quota: quota, domain: domain, limit: Int(clamping: limit))
    case .system(let operation, let errno): self = .system(operation: operation, Errno(rawValue: CInt(truncatingIfNeeded: errno)))
    case .refused(let operation, let reason): self = .refused(operation: operation, reason: reason)
    }
  }
}
