public import XenInterface
import XenStoreWire

extension XenStoreCore {
  // MARK: For the daemon

  /// What was refused to domains that are still there, by domain and quota.
  public var refusals: [XenStoreRefusal] { quotaState.refusals.sorted }

  /// The value of a quota that applies to a domain; zero means no limit.
  public func quota(_ quota: XenStoreQuota, of domain: DomainID) -> Int { quotaState.overrides[domain]?[quota] ?? quotas[quota] }

  /// Sets a quota for one domain, or for all that have no value of their own. What a domain has already above a new value, it keeps.
  public func setQuota(_ quota: XenStoreQuota, of domain: DomainID?, to value: Int) {
    asOneCommit { note(.quota(domain, quota, value)) }
    if let domain {
      quotaState.overrides[domain, default: [:]][quota] = value
    } else {
      quotas[quota] = value
    }
    // An event that waits already has the new limit, too.
    if quota == .watchEvent, isFair { restartEventDeadline() }
    guard quota == .outstanding else { return }
    for connection in connections.elements { connection.unreadReplyLimit = limit(.outstanding, of: connection.domain) }
  }

  // MARK: Requests

  /// `[[<domid>|]<quota>|]`: all names in one string with blanks between them, or one value.
  func getQuota(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    guard let strings = XenStorePayload.strings(request.payload), strings.count <= 2 else { throw .invalidArgument }
    guard let name = strings.last else { return XenStorePayload.join([XenStoreQuota.allCases.map(\.rawValue).joined(separator: " ")]) }
    let quota = try quota(named: name)
    return XenStorePayload.decimal(UInt64(clamping: strings.count == 2 ? self.quota(quota, of: try domain(strings[0])) : quotas[quota]))
  }

  /// `[<domid>|]<quota>|<value>|`
  func setQuota(_ request: StoreRequest) throws(XenStoreError) {
    guard let strings = XenStorePayload.strings(request.payload), strings.count == 2 || strings.count == 3,
      let value = XenStorePayload.number(strings[strings.count - 1], as: UInt32.self)
    else { throw .invalidArgument }
    let quota = try quota(named: strings[strings.count - 2])
    let domain = strings.count == 3 ? try domain(strings[0]) : nil
    setQuota(quota, of: domain, to: Int(value))
    audit(.setQuota, domain.map(XenStorePath.home) ?? .root, request)
  }

  func quota(named name: ArraySlice<UInt8>) throws(XenStoreError) -> XenStoreQuota {
    guard let quota = XenStoreQuota(name: String(decoding: name, as: UTF8.self)) else { throw .invalidArgument }
    return quota
  }

  // MARK: For the other parts of the core

  /// What a number may not exceed; the highest there is when there is no limit.
  func limit(_ quota: XenStoreQuota, of domain: DomainID) -> Int {
    let value = quotaState.overrides.isEmpty ? quotas[quota] : self.quota(quota, of: domain)
    return value == 0 ? .max : value
  }

  /// Keeps and tells which quota refused what to whom. The error is for the caller to throw.
  func refuse(_ quota: XenStoreQuota, of domain: DomainID, limit: Int, value: Int) -> XenStoreError {
    if let news = quotaState.refusals.note(quota, of: domain, limit: limit, value: value) { onRefusal?(news) }
    return quota.error
  }

  /// Keeps the highest numbers, and warns once when the domain passes its warning level.
  func noteUsage(_ usage: DomainUsage, of domain: DomainID) {
    quotaState.peaks.note(usage)
    let limit = limit(.memoryWarning, of: domain)
    if usage.memoryByteCount <= limit {
      if !quotaState.warned.isEmpty { quotaState.warned.remove(domain) }
    } else if quotaState.warned.insert(domain).inserted {
      _ = refuse(.memoryWarning, of: domain, limit: limit, value: usage.memoryByteCount)
    }
  }

  /// Throws ENOSPC when an unprivileged connection gives a node more permissions than its quota allows.
  func checkPermissionCount(_ count: Int, for connection: StoreConnection) throws(XenStoreError) {
    guard !connection.isPrivileged else { return }
    let limit = limit(.permissions, of: connection.domain)
    guard count <= limit else { throw refuse(.permissions, of: connection.domain, limit: limit, value: count) }
    quotaState.peaks.note(.permissions, count)
  }

  /// A path of an unprivileged connection, within its quota and in any case within the protocol's limit.
  func limitedPath(_ text: ArraySlice<UInt8>, _ connection: StoreConnection) throws(XenStoreError) -> XenStorePath {
    let limit = min(limit(.pathLength, of: connection.domain), XenStoreProtocol.maximumPathByteCount)
    let path: XenStorePath
    do throws(XenStoreError) {
      path = try XenStorePath(text, relativeTo: connection.domain)
    } catch {
      guard text.count > XenStoreProtocol.maximumPathByteCount else { throw error }
      throw refuse(.pathLength, of: connection.domain, limit: limit, value: text.count)
    }
    // What a leading `/local/domain/N/` takes is only looked at where it matters.
    guard path.bytes.count > min(limit, quotaState.peaks[.pathLength]) else { return path }
    let byteCount = path.limitedByteCount
    guard byteCount <= limit else { throw refuse(.pathLength, of: connection.domain, limit: limit, value: byteCount) }
    quotaState.peaks.note(.pathLength, byteCount)
    return path
  }

  /// What quotas keep of a domain goes with it: its successor begins anew (XSA-419).
  func forgetQuotas(of domain: DomainID) {
    quotaState.overrides[domain] = nil
    quotaState.warned.remove(domain)
    quotaState.refusals.remove(domain)
  }
}
