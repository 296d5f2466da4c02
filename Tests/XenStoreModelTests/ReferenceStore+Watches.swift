extension ReferenceStore {
  mutating func watch(_ payload: [UInt8], _ access: ReferenceAccess) throws -> [UInt8] {
    let (target, given, token, depth) = try watchArguments(payload, access)
    let watches = clients[access.client]!.watches
    if watches.contains(where: { $0.target == target && $0.token == token }) { throw Refusal("EEXIST") }
    let count = clients.values.filter { $0.domain == access.domain }.reduce(0) { $0 + $1.watches.count }
    if !access.isPrivileged, count >= limits.watches { throw Refusal("ENOSPC") }
    clients[access.client]!.watches.append(Watch(target: target, given: given, token: token, depth: depth, age: clock))
    return given + [0] + token + [0]
  }

  mutating func unwatch(_ payload: [UInt8], _ access: ReferenceAccess) throws {
    let (target, _, token, _) = try watchArguments(payload, access, badPath: "ENOENT")
    let index = clients[access.client]!.watches.firstIndex { $0.target == target && $0.token == token }
    guard let index else { throw Refusal("ENOENT") }
    clients[access.client]!.watches.remove(at: index)
  }

  private func watchArguments(
    _ payload: [UInt8], _ access: ReferenceAccess, badPath: String = "EINVAL"
  ) throws -> (target: String, given: [UInt8], token: [UInt8], depth: Int?) {
    let parts = payload.dropLast().split(separator: 0, omittingEmptySubsequences: false)
    guard payload.last == 0, parts.count == 2 || parts.count == 3 else { throw Refusal("EINVAL") }
    let isSpecial = parts[0].first == UInt8(ascii: "@")
    var depth: Int?
    if parts.count == 3 {
      depth = UInt32(String(decoding: parts[2], as: UTF8.self)).map(Int.init)
      guard let depth, !isSpecial || depth <= 1 else { throw Refusal("EINVAL") }
    }
    let target = isSpecial ? String(decoding: parts[0], as: UTF8.self) : ReferencePath.absolute(parts[0], for: access.domain)
    guard let target else { throw Refusal(badPath) }
    return (target, Array(parts[0]), Array(parts[1]), depth)
  }

  /// Tells who watches `path` or something above it, the oldest watch first, and may read one of what `permissions` list: the node or
  /// its parent, before or after. `exactly` leaves out those who watch something above.
  func tell(_ path: String, _ permissions: [[ReferencePermission]?], exactly: Bool = false, _ outcome: inout Outcome) {
    var concerned: [(client: Int, watch: Watch)] = []
    for (number, client) in clients where client.isOpen {
      for watch in client.watches where watch.target == path || !exactly && ReferencePath.isBelow(path, watch.target) {
        if let depth = watch.depth, ReferencePath.depth(path) > ReferencePath.depth(watch.target) + depth { continue }
        concerned.append((number, watch))
      }
    }
    for (number, watch) in concerned.sorted(by: { $0.watch.age < $1.watch.age }) {
      let client = clients[number]!
      let mayKnow = permissions.contains { list in list.map { isAllowed(client.domain, client.isPrivileged, \.mayRead, $0) } ?? false }
      guard mayKnow else { continue }
      let home = "/local/domain/\(client.domain)/"
      let isRelative = watch.given.first != UInt8(ascii: "/")
      let told = isRelative && path.hasPrefix(home) ? Array(path.utf8.dropFirst(home.utf8.count)) : Array(path.utf8)
      outcome.add(told + [0] + watch.token + [0], for: number)
    }
  }
}
