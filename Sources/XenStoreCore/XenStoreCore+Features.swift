public import XenInterface
import XenStoreWire

extension XenStoreCore {
  /// What this store can do, as a domain finds it in the `server_features` field of its page and by GET_FEATURE.
  public static let supportedFeatures: XenStoreFeatures = [.reconnection, .error, .watchDepth]

  /// What is offered to one domain: everything, or less when SET_FEATURE said so before the domain was introduced.
  public func features(of domain: DomainID) -> XenStoreFeatures { domainFeatures[domain] ?? XenStoreCore.supportedFeatures }

  /// `[<domid>|]`: decimal feature bits, of the asking domain or, for privileged connections, of any.
  func getFeature(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    guard let strings = XenStorePayload.strings(request.payload) else { throw .invalidArgument }
    guard let text = strings.first else { return XenStorePayload.decimal(UInt64(features(of: request.connection.domain).rawValue)) }
    guard request.connection.isPrivileged else { throw .accessDenied }
    guard strings.count == 1 else { throw .invalidArgument }
    return XenStorePayload.decimal(UInt64(features(of: try domain(text)).rawValue))
  }

  /// `<domid>|<value>|`: takes features away from a domain that is not introduced yet.
  func setFeature(_ request: StoreRequest) throws(XenStoreError) {
    guard let strings = XenStorePayload.strings(request.payload), strings.count == 2,
      let bits = XenStorePayload.number(strings[1], as: UInt32.self)
    else { throw .invalidArgument }
    let domain = try domain(strings[0])
    guard !isIntroduced(domain) else { throw .busy }
    let features = XenStoreFeatures(rawValue: bits)
    guard features.isSubset(of: XenStoreCore.supportedFeatures) else { throw .invalidArgument }
    domainFeatures[domain] = features == XenStoreCore.supportedFeatures ? nil : features
    note(.features(domain, bits))
    audit(.setFeature, .home(of: domain), request)
  }
}
