public import XenInterface
import XenStoreWire

extension XenStoreCore {
  // MARK: For the daemon

  /// Makes a domain known. Those who watch `@introduceDomain` are told when it was not known before.
  public func introduce(_ domain: DomainID) {
    asOneCommit {
      guard introducedDomains.insert(domain).inserted else { return }
      note(.introduction(domain))
      report(special: XenStoreCore.introduceDomain)
    }
  }

  /// Forgets a domain that died: its nodes, its entries in permission lists, its watches, transactions and connections, so that a
  /// later domain of the same number inherits nothing (XSA-322, XSA-417, XSA-419). Then those who watch `@releaseDomain` are told.
  public func release(_ domain: DomainID) {
    precondition(domain != .control, "the control domain cannot be released")
    for connection in connections.elements where connection.domain == domain && !connection.isPrivileged {
      fail(connection, .domainReleased(domain))
    }
    asOneCommit {
      for stub in targets.filter({ $0.key == domain || $0.value == domain }).keys.sorted() {
        targets[stub] = nil
        note(.target(stub: stub, nil))
      }
      removeTraces(of: domain)
      guard introducedDomains.remove(domain) != nil else { return }
      note(.release(domain))
      report(special: XenStoreCore.releaseDomain)
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

  /// Domain, frame number and event channel of its store ring; the last two mean nothing where domains come over sockets.
  func introduce(_ request: StoreRequest) throws(XenStoreError) {
    guard let strings = XenStorePayload.strings(request.payload), strings.count >= 3,
      XenStorePayload.number(strings[1], as: UInt64.self) != nil, let port = XenStorePayload.number(strings[2], as: UInt32.self), port > 0
    else { throw .invalidArgument }
    introduce(try domain(strings[0]))
  }

  func release(_ request: StoreRequest) throws(XenStoreError) {
    let domain = try onlyDomain(request)
    guard domain != .control else { throw .invalidArgument }
    guard isIntroduced(domain) else { throw .noEntry }
    release(domain)
  }

  func isDomainIntroduced(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    XenStorePayload.join([isIntroduced(try onlyDomain(request)) ? "T" : "F"])
  }

  func getDomainPath(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    XenStorePayload.join([XenStorePath.home(of: try onlyDomain(request)).text])
  }

  /// A resumed domain may shut down again and be reported again; nothing to do as long as a shutdown is not kept.
  func resume(_ request: StoreRequest) throws(XenStoreError) {
    guard isIntroduced(try onlyDomain(request)) else { throw .noEntry }
  }

  func setTarget(_ request: StoreRequest) throws(XenStoreError) {
    guard let strings = XenStorePayload.strings(request.payload), strings.count == 2 else { throw .invalidArgument }
    let stub = try domain(strings[0])
    let target = try domain(strings[1])
    guard isIntroduced(stub), isIntroduced(target) else { throw .noEntry }
    targets[stub] = target
    note(.target(stub: stub, target))
  }

  private func onlyDomain(_ request: StoreRequest) throws(XenStoreError) -> DomainID {
    guard let text = XenStorePayload.onlyString(request.payload) else { throw .invalidArgument }
    return try domain(text)
  }

  // MARK: Commands to the daemon

  private static let commands = ["help", "check", "print"]

  func control(_ request: StoreRequest) throws(XenStoreError) -> [UInt8] {
    guard let strings = XenStorePayload.strings(request.payload), let command = strings.first else { throw .invalidArgument }
    switch String(decoding: command, as: UTF8.self) {
    case "help": return Array(XenStoreCore.commands.joined(separator: "\n").utf8) + [0]
    case "check": return Array((try isConsistent() ? "OK" : "the tree is damaged").utf8) + [0]
    case "print":
      guard strings.count == 2 else { throw .invalidArgument }
      onPrint?(String(decoding: strings[1], as: UTF8.self))
      return Array("OK".utf8) + [0]
    default: throw .invalidArgument
    }
  }

  /// Whether every node has an owner and its children in order, each once.
  private func isConsistent() throws(XenStoreError) -> Bool {
    var result = true
    tree.forEachNode(from: .root) { _, node in
      result = result && !node.permissions.isEmpty && zip(node.children.entries, node.children.entries.dropFirst()).allSatisfy { $0.name < $1.name }
      return result
    }
    return result
  }
}
