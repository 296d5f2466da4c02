public import XenInterface
import XenStoreWire

extension XenStoreCore {
  // MARK: For the daemon

  /// Makes a domain known. Those who watch `@introduceDomain` are told when it was not known before.
  public func introduce(_ domain: DomainID) {
    if !isIntroduced(domain) { audit(.introduce, .home(of: domain), domain: .control, label: XenStoreAudit.daemonLabel) }
    enter(domain)
  }

  private func enter(_ domain: DomainID) {
    asOneCommit {
      guard introducedDomains.insert(domain).inserted else { return }
      note(.introduction(domain))
      report(special: XenStoreCore.introduceDomain, of: domain)
    }
  }

  /// Forgets a domain that died: its nodes, its entries in permission lists, its watches, transactions and connections, so that a
  /// later domain of the same number inherits nothing (XSA-322, XSA-417, XSA-419). Then those who watch `@releaseDomain` are told.
  public func release(_ domain: DomainID) {
    if isIntroduced(domain) { audit(.release, .home(of: domain), domain: .control, label: XenStoreAudit.daemonLabel) }
    forget(domain)
  }

  private func forget(_ domain: DomainID) {
    precondition(domain != .control, "the control domain cannot be released")
    for transaction in connections.elements.flatMap(\.transactions.values) where transaction.namedDomains.contains(domain) {
      transaction.failure = .tryAgain
    }
    for connection in connections.elements where connection.domain == domain && !connection.isPrivileged {
      fail(connection, .domainReleased(domain))
    }
    asOneCommit {
      for stub in targets.filter({ $0.key == domain || $0.value == domain }).keys.sorted() {
        targets[stub] = nil
        note(.target(stub: stub, nil))
      }
      removeTraces(of: domain)
      forgetQuotas(of: domain)
      domainFeatures[domain] = nil
      guard introducedDomains.remove(domain) != nil else { return }
      note(.release(domain))
      report(special: XenStoreCore.releaseDomain, of: domain)
      specialPermissions[XenStoreCore.name(XenStoreCore.releaseDomain, of: domain)] = nil
    }
  }

  public func isIntroduced(_ domain: DomainID) -> Bool { introducedDomains.contains(domain) }

  private func removeTraces(of domain: DomainID) {
    var owned: [XenStorePath] = []
    var naming: [(XenStorePath, [XenStorePermission])] = []
    tree.forEachNode(from: .root) { path, node in
      if node.permissions.first?.domain == domain {
        if path.isRoot {
          naming.append((path, [XenStorePermission(.control, .none)]))
        } else {
          owned.append(path)
          return false
        }
      } else if node.permissions.dropFirst().contains(where: { $0.domain == domain }) {
        naming.append((path, node.permissions.filter { $0.domain != domain }))
      }
      return true
    }
    for path in owned { removeNode(at: path, transaction: nil) }
    for (path, permissions) in naming {
      countChange(ofPermissionsAt: path, to: permissions)
      version = nextGeneration()
      tree.setPermissions(permissions, at: path, generation: version)
      note(.permissions(path, permissions))
    }
    for (name, permissions) in specialPermissions where permissions.dropFirst().contains(where: { $0.domain == domain }) {
      let remaining = [permissions[0]] + permissions.dropFirst().filter { $0.domain != domain }
      specialPermissions[name] = remaining
      note(.specialPermissions(name: name, remaining))
    }
  }

  // MARK: Requests

  /// Domain, its store page, and the port that it made for us. The page is the reference under which the domain has granted it to the
  /// control domain; what cannot be one, as the frame numbers of toolstacks for Xen, means that the domain comes over its socket.
  func introduce(_ request: StoreRequest) throws(XenStoreError) {
    guard let strings = XenStorePayload.strings(request.payload), strings.count >= 3,
      let port = XenStorePayload.number(strings[2], as: UInt32.self), port > 0
    else { throw .invalidArgument }
    let domain = try domain(strings[0])
    if let onIntroduceRing, let number = XenStorePayload.number(strings[1], as: UInt32.self) {
      let address = XenStoreRingAddress(reference: GrantReference(rawValue: number), port: EventChannelPort(rawValue: port))
      if !address.isReserved { try onIntroduceRing(domain, address) }
    }
    enter(domain)
    audit(.introduce, .home(of: domain), request)
  }

  func release(_ request: StoreRequest) throws(XenStoreError) {
    let domain = try onlyDomain(request)
    guard domain != .control else { throw .invalidArgument }
    guard isIntroduced(domain) else { throw .noEntry }
    forget(domain)
    audit(.release, .home(of: domain), request)
  }

  /// `DOMID_SELF` is whoever asks, who is always there; other reserved numbers are no domains.
  func isDomainIntroduced(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    let domain = try anyDomain(request)
    return XenStorePayload.join([domain == .firstReserved || isIntroduced(domain) ? "T" : "F"])
  }

  func getDomainPath(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    XenStorePayload.join([XenStorePath.home(of: try anyDomain(request)).text])
  }

  /// A resumed domain may shut down again and be reported again; nothing to do as long as a shutdown is not kept.
  func resume(_ request: StoreRequest) throws(XenStoreError) {
    let domain = try onlyDomain(request)
    guard domain != .control else { throw .invalidArgument }
    guard isIntroduced(domain) else { throw .noEntry }
    audit(.resume, .home(of: domain), request)
  }

  func setTarget(_ request: StoreRequest) throws(XenStoreError) {
    guard let strings = XenStorePayload.strings(request.payload), strings.count == 2 else { throw .invalidArgument }
    let stub = try domain(strings[0])
    let target = try domain(strings[1])
    guard isIntroduced(stub), isIntroduced(target) else { throw .noEntry }
    targets[stub] = target
    note(.target(stub: stub, target))
    audit(.setTarget, .home(of: stub), request)
  }

  /// A domain number that is only compared or printed, so that reserved ones do no harm.
  private func anyDomain(_ request: StoreRequest) throws(XenStoreError) -> DomainID {
    guard let text = XenStorePayload.onlyString(request.payload), let number = XenStorePayload.number(text, as: UInt16.self) else {
      throw .invalidArgument
    }
    return DomainID(rawValue: number)
  }

  private func onlyDomain(_ request: StoreRequest) throws(XenStoreError) -> DomainID {
    guard let text = XenStorePayload.onlyString(request.payload) else { throw .invalidArgument }
    return try domain(text)
  }
}
