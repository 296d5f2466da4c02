public import EventLoop
import Logging
public import XenInterface
public import XenPlatform
public import XenStoreCore
import XenStoreRing
import XenStoreWire

extension XenStoreServer {
  /// Maps the page that a domain has granted to the control domain, and binds to its port. Called on the loop's thread, which it must
  /// not block.
  public typealias RingOpener = (DomainID, XenStoreRingAddress) throws(PlatformError) -> StoreRing

  /// Pages of one domain that are served at a time: each of its processes may have one.
  public static let ringLimitPerDomain = 16
  /// Pages that are served at a time, of all domains.
  public static let ringLimit = 2048

  /// From now on, domains may come over their pages: those that an INTRODUCE names, and those given to ``connect(ring:of:)``.
  public func serveRings(opening open: @escaping RingOpener) {
    openRing = open
    core.onIntroduceRing = { [unowned self] domain, address throws(XenStoreError) in
      do throws(PlatformError) {
        try serveRing(at: address, of: domain)
      } catch {
        logger.warning("store: the page of domain \(domain) at reference \(address.reference), port \(address.port) is not served: \(error)")
        if case .quotaExceeded = error { throw .noSpace }
        throw .invalidArgument
      }
    }
  }

  /// Serves a page that a process of `domain` offers, as a privileged INTRODUCE with these numbers would. The domain must be known
  /// already: a domain that was released does not come back by itself.
  public func connect(ring address: XenStoreRingAddress, of domain: DomainID) throws(PlatformError) {
    let operation = "connection of a store page"
    guard core.isIntroduced(domain) else { throw .refused(operation: operation, reason: "domain \(domain) is not introduced") }
    guard !address.isReserved else { throw .refused(operation: operation, reason: "reference \(address.reference) is reserved") }
    try serveRing(at: address, of: domain)
    flush()
  }

  /// Pages that are served now.
  public var ringCount: Int { connections.elements.count { $0 is RingConnection } }

  /// What the channels of a domain's pages have seen.
  public func ringCounters(of domain: DomainID) -> [LoopEventChannel.Counters] {
    connections.elements.compactMap { ($0 as? RingConnection).flatMap { $0.domain == domain ? $0.counters : nil } }
  }

  /// May be called in the middle of a request: it sends nothing.
  private func serveRing(at address: XenStoreRingAddress, of domain: DomainID) throws(PlatformError) {
    guard let openRing else { throw .refused(operation: "connection of a store page", reason: "this store serves none") }
    let rings = connections.elements.compactMap { $0 as? RingConnection }
    let ofDomain = rings.filter { $0.domain == domain }
    // The same page again: the domain was suspended, or its channel broke.
    if let old = ofDomain.first(where: { $0.address.reference == address.reference }) {
      close(old)
    } else {
      guard ofDomain.count < XenStoreServer.ringLimitPerDomain else {
        throw .quotaExceeded(quota: "store-pages", domain: domain, limit: XenStoreServer.ringLimitPerDomain)
      }
      guard rings.count < XenStoreServer.ringLimit else {
        throw .quotaExceeded(quota: "store-pages", domain: .control, limit: XenStoreServer.ringLimit)
      }
    }
    let ring = try openRing(domain, address)
    let page = XenStoreRingPage(ring.page.bytes)
    page.error = XenStoreRingError.none.rawValue
    page.connection = .connected
    let id = core.connect(domain: domain, privileged: domain == .control, label: "page:\(address.reference)")
    enter(RingConnection(ring: ring, domain: domain, address: address, id: id, server: self))
  }

  /// Goes on with a page that the server before this one has served. One that is not there any more is closed.
  func resumeRing(of connection: XenStoreImport.Connection, at address: XenStoreRingAddress) {
    do throws(PlatformError) {
      guard let openRing else { throw .refused(operation: "connection of a store page", reason: "this store serves none") }
      let ring = try openRing(connection.domain, address)
      let link = RingConnection(
        ring: ring, domain: connection.domain, address: address, id: connection.id, server: self, unsent: connection.link.unsentBytes)
      enter(link)
    } catch {
      logger.warning("store: the page of domain \(connection.domain) at reference \(address.reference) is not served any more: \(error)")
      core.disconnect(connection.id)
    }
  }
}
