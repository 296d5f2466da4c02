import XenInterface
import XenStoreWire

/// Names that are no nodes but can be watched, and have permissions like nodes: `@introduceDomain`, `@releaseDomain`, and
/// `@releaseDomain/<domid>` for one domain, which has the permissions of `@releaseDomain` until it is given its own.
extension XenStoreCore {
  /// Watched by those who want to know of new domains.
  public static let introduceDomain = "@introduceDomain"
  /// Watched by those who want to know that a domain went away; which one they have to find out, unless they watch with depth 1.
  public static let releaseDomain = "@releaseDomain"

  /// Tells those who watch for what happened to a domain. With depth 1 a watch is told the domain, as `@releaseDomain/<domid>`;
  /// a watch of that name is told of that domain alone.
  func report(special name: String, of domain: DomainID) {
    let ofAll = specialPermissions[name] ?? []
    let numbered = XenStoreCore.name(name, of: domain)
    let ofOne = specialPermissions[numbered] ?? ofAll
    for watch in watches.watches(ofSpecial: name) {
      let namesDomain = watch.depth ?? 0 > 0
      guard isAllowed(watch.connection, .read, by: namesDomain ? ofOne : ofAll) else { continue }
      send(event: watch, reporting: namesDomain ? Array(numbered.utf8) : watch.givenPath)
    }
    for watch in watches.watches(ofSpecial: numbered) where isAllowed(watch.connection, .read, by: ofOne) {
      send(event: watch, reporting: watch.givenPath)
    }
  }

  /// A special name as a request spells it and the permissions that apply to it. Throws EINVAL for a name that has none, ENOENT for one
  /// of a domain that is not there, EACCES when the connection may not read them.
  func specialPermissions(
    of text: ArraySlice<UInt8>, _ request: StoreRequest
  ) throws(XenStoreError) -> (name: String, permissions: [XenStorePermission]) {
    let name = String(decoding: text, as: UTF8.self)
    var permissions = specialPermissions[name]
    if permissions == nil, let domain = XenStoreCore.releasedDomain(in: name) {
      guard isIntroduced(domain) else { throw .noEntry }
      permissions = specialPermissions[XenStoreCore.releaseDomain]
    }
    guard let permissions else { throw .invalidArgument }
    guard isAllowed(request.connection, .read, by: permissions) else { throw .accessDenied }
    return (name, permissions)
  }

  static func name(_ name: String, of domain: DomainID) -> String { "\(name)/\(domain)" }

  /// The domain of a `@releaseDomain/<domid>` in its one spelling; nil for any other name.
  private static func releasedDomain(in text: String) -> DomainID? {
    guard let number = text.split(separator: "/", omittingEmptySubsequences: false).last.flatMap({ UInt16($0) }) else { return nil }
    let domain = DomainID(rawValue: number)
    return text == name(releaseDomain, of: domain) ? domain : nil
  }
}
