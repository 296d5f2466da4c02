public import XenInterface
public import XenStoreWire

/// Everything of a store that outlives its connections, as it was at one moment. Taking one costs nothing: it shares its nodes with
/// the live tree, which from then on copies what it changes.
public struct XenStoreImage: @unchecked Sendable {
  // SAFETY of @unchecked: nobody changes a node that more than one tree holds, and this value holds its tree until it is gone; other
  // threads only read the nodes, and counting references is atomic.
  private let tree: XenStoreTree
  private let introducedDomains: [DomainID]
  private let targets: [(stub: DomainID, target: DomainID)]
  private let specialPermissions: [(name: String, permissions: [XenStorePermission])]
  private let limits: [XenStoreChange]
  /// The last commit that is part of it.
  public let sequence: UInt64
  /// The highest generation in it.
  public let generation: UInt64

  init(of core: XenStoreCore) {
    tree = core.tree
    introducedDomains = core.introducedDomains.sorted()
    targets = core.targets.map { ($0.key, $0.value) }.sorted { $0.stub < $1.stub }
    specialPermissions = core.specialPermissions.map { ($0.key, $0.value) }.sorted { $0.name < $1.name }
    limits = core.limitsAsChanges
    sequence = core.lastCommitSequence
    generation = core.lastGeneration
  }

  /// Calls `body` with the changes that make an empty store this one, parents before their children. Any thread.
  public func forEachChange<Failure>(_ body: (XenStoreChange) throws(Failure) -> Void) throws(Failure) {
    for domain in introducedDomains { try body(.introduction(domain)) }
    for limit in limits { try body(limit) }
    for (stub, target) in targets { try body(.target(stub: stub, target)) }
    for (name, permissions) in specialPermissions { try body(.specialPermissions(name: name, permissions)) }
    var failure: Failure?
    tree.forEachNode(from: .root) { path, node in
      guard failure == nil else { return false }
      do throws(Failure) {
        try body(.node(path, value: node.value, permissions: node.permissions))
      } catch {
        failure = error
      }
      return failure == nil
    }
    if let failure { throw failure }
  }
}

extension XenStoreCore {
  /// The store as it is now. Loop thread; the value may go anywhere.
  public func image() -> XenStoreImage { XenStoreImage(of: self) }

  /// The value of a node, or nil when it is missing: for the daemon itself, whatever the permissions and whether durable or not.
  public func value(at path: XenStorePath) -> [UInt8]? { tree.node(at: path)?.value }

  /// Every domain that is known, in order.
  public var domains: [DomainID] { introducedDomains.sorted() }

  /// Applies changes that a store made earlier, when this one starts: nobody is told, and nothing is checked but that the result is a
  /// tree. False when a change does not fit what is there, which changes in their order always do.
  public func restore(_ change: XenStoreChange) -> Bool {
    precondition(connections.isEmpty && !journal.isOn, "a store is restored before anybody uses it")
    switch change {
    case .node(let path, let value, let permissions):
      guard !permissions.isEmpty else { return false }
      if tree.node(at: path) != nil {
        tree.setValue(value, at: path, generation: version)
        tree.setPermissions(permissions, at: path, generation: version)
      } else {
        guard let parent = path.parent, tree.node(at: parent) != nil else { return false }
        tree.create(value: value, permissions: permissions, at: path, generation: version)
      }
    case .value(let path, let value):
      guard tree.node(at: path) != nil else { return false }
      tree.setValue(value, at: path, generation: version)
    case .permissions(let path, let permissions):
      guard !permissions.isEmpty, tree.node(at: path) != nil else { return false }
      tree.setPermissions(permissions, at: path, generation: version)
    case .removal(let path):
      guard !path.isRoot, tree.node(at: path) != nil else { return false }
      tree.remove(at: path, generation: version)
    case .specialPermissions(let name, let permissions):
      guard !permissions.isEmpty else { return false }
      specialPermissions[name] = permissions
    case .introduction(let domain): introducedDomains.insert(domain)
    case .release(let domain):
      introducedDomains.remove(domain)
      forgetQuotas(of: domain)
      domainFeatures[domain] = nil
      specialPermissions[XenStoreCore.name(XenStoreCore.releaseDomain, of: domain)] = nil
    case .quota(let domain, let quota, let value): setQuota(quota, of: domain, to: value)
    case .features(let domain, let bits): domainFeatures[domain] = XenStoreFeatures(rawValue: bits)
    case .target(let stub, let target): targets[stub] = target
    }
    return true
  }

  /// Quotas and features that are not those that a new store has.
  fileprivate var limitsAsChanges: [XenStoreChange] {
    let standard = XenStoreQuotas()
    var changes = XenStoreQuota.allCases.filter { quotas[$0] != standard[$0] }.map { XenStoreChange.quota(nil, $0, quotas[$0]) }
    for (domain, overrides) in quotaState.overrides.sorted(by: { $0.key < $1.key }) {
      changes += overrides.sorted { $0.key < $1.key }.map { .quota(domain, $0.key, $0.value) }
    }
    return changes + domainFeatures.sorted { $0.key < $1.key }.map { .features($0.key, $0.value.rawValue) }
  }

  /// Ends restoring: the store goes on behind the last commit and the highest generation that were restored.
  public func finishRestoring(sequence: UInt64, generation: UInt64) {
    precondition(connections.isEmpty && !journal.isOn, "a store is restored before anybody uses it")
    journal = CommitJournal(continuingAt: sequence)
    // A client that was in the middle of a directory must not take today's node for the one it began with.
    lastGeneration = max(lastGeneration, generation) + 1
    version = lastGeneration
    recountNodes()
  }
}
