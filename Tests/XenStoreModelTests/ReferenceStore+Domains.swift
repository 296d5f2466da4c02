import XenInterface

extension ReferenceStore {
  func domain(_ payload: [UInt8]) throws -> Int {
    guard let end = payload.firstIndex(of: 0), end == payload.count - 1 else { throw Refusal("EINVAL") }
    return try number(payload[..<end])
  }

  private func number(_ text: ArraySlice<UInt8>) throws -> Int {
    let text = String(decoding: text, as: UTF8.self)
    guard let number = UInt16(text), text.allSatisfy(\.isNumber) else { throw Refusal("EINVAL") }
    return Int(number)
  }

  mutating func administer(
    _ type: XenStoreMessageType, _ payload: [UInt8], _ access: ReferenceAccess, _ outcome: inout Outcome
  ) throws -> [UInt8] {
    let parts = payload.dropLast().split(separator: 0, omittingEmptySubsequences: false)
    guard payload.last == 0 else { throw Refusal("EINVAL") }
    switch type {
    case .introduce:
      guard parts.count >= 3, let port = UInt32(String(decoding: parts[2], as: UTF8.self)), port > 0 else { throw Refusal("EINVAL") }
      introduce(try number(parts[0]), &outcome)
    case .release:
      let domain = try domain(payload)
      guard domain != 0 else { throw Refusal("EINVAL") }
      guard introduced.contains(domain) else { throw Refusal("ENOENT") }
      release(domain, &outcome)
    case .resume:
      let domain = try domain(payload)
      guard domain != 0 else { throw Refusal("EINVAL") }
      guard introduced.contains(domain) else { throw Refusal("ENOENT") }
    case .setTarget:
      guard parts.count == 2 else { throw Refusal("EINVAL") }
      let (stub, target) = (try number(parts[0]), try number(parts[1]))
      guard introduced.contains(stub), introduced.contains(target) else { throw Refusal("ENOENT") }
      targets[stub] = target
    default: return Array((introduced.contains(try domain(payload)) ? "T" : "F").utf8) + [0]
    }
    return Array("OK".utf8) + [0]
  }

  mutating func introduce(_ domain: Int, _ outcome: inout Outcome) {
    if introduced.insert(domain).inserted { tellSpecial("@introduceDomain", domain, &outcome) }
  }

  /// Forgets a domain: its connections, its nodes, its entries in permission lists.
  mutating func release(_ domain: Int, _ outcome: inout Outcome) {
    for number in clients.keys {
      for (id, transaction) in clients[number]!.transactions where transaction.named.contains(domain) {
        clients[number]!.transactions[id]!.failure = "EAGAIN"
      }
    }
    for (number, client) in clients where client.domain == domain && !client.isPrivileged { disconnect(number) }
    targets = targets.filter { $0.key != domain && $0.value != domain }
    for path in nodes.keys.sorted(by: ReferencePath.comesBefore) where path != "/" && nodes[path]?.permissions[0].domain == domain {
      clock += 1
      removeTree(path, &outcome)
    }
    for (path, node) in nodes where node.permissions.contains(where: { $0.domain == domain }) {
      // What is left with it as its owner is the root.
      let isOwner = node.permissions[0].domain == domain
      nodes[path]!.permissions = isOwner ? [ReferencePermission(letter: "n", domain: 0)] : node.permissions.filter { $0.domain != domain }
      clock += 1
      nodes[path]!.change = clock
    }
    for (name, list) in special { special[name] = [list[0]] + list.dropFirst().filter { $0.domain != domain } }
    guard introduced.remove(domain) != nil else { return }
    tellSpecial("@releaseDomain", domain, &outcome)
    special["@releaseDomain/\(domain)"] = nil
  }

  /// The permissions of a name that is no node.
  func specialPermissions(_ text: ArraySlice<UInt8>, _ access: ReferenceAccess) throws -> [ReferencePermission] {
    let name = String(decoding: text, as: UTF8.self)
    var list = special[name]
    if list == nil, name.hasPrefix("@releaseDomain/"), let domain = UInt16(name.dropFirst(15)), name == "@releaseDomain/\(domain)" {
      guard introduced.contains(Int(domain)) else { throw Refusal("ENOENT") }
      list = special["@releaseDomain"]
    }
    guard let list else { throw Refusal("EINVAL") }
    guard isAllowed(access.domain, access.isPrivileged, \.mayRead, list) else { throw Refusal("EACCES") }
    return list
  }

  private func tellSpecial(_ name: String, _ domain: Int, _ outcome: inout Outcome) {
    let all = special[name]!
    let one = special["\(name)/\(domain)"] ?? all
    for target in [name, "\(name)/\(domain)"] {
      let watches = clients.filter(\.value.isOpen).flatMap { client in client.value.watches.map { (client.key, $0) } }
      for (number, watch) in watches.filter({ $0.1.target == target }).sorted(by: { $0.1.age < $1.1.age }) {
        let client = clients[number]!
        let isNamed = target == name && watch.depth ?? 0 > 0
        guard isAllowed(client.domain, client.isPrivileged, \.mayRead, isNamed || target != name ? one : all) else { continue }
        outcome.add((isNamed ? Array("\(name)/\(domain)".utf8) : watch.given) + [0] + watch.token + [0], for: number)
      }
    }
  }
}
