import XenInterface
import XenStoreCore
import XenStoreWire

/// How changes and commits lie in records.
///
/// A commit: its generation (8 bytes), the number of its changes (4), the changes. Its sequence follows from its place.
/// A change: what it is (1), then what that needs: paths and names with 2 bytes of length, values with 4, permission lists with 2 bytes
/// of count and for each entry the domain (2) and the access (1).
enum ChangeCoding {
  private enum Kind: UInt8 {
    case node = 1, value, permissions, removal, specialPermissions, introduction, release, target, noTarget, quota, domainQuota, features
  }

  static func append(_ commit: XenStoreCommit, to output: inout [UInt8]) {
    output.append(number: commit.generation)
    output.append(number: UInt32(commit.changes.count))
    for change in commit.changes { append(change, to: &output) }
  }

  static func append(_ change: XenStoreChange, to output: inout [UInt8]) {
    switch change {
    case .node(let path, let value, let permissions):
      output.append(Kind.node.rawValue)
      append(name: path.bytes, to: &output)
      append(value: value, to: &output)
      append(permissions, to: &output)
    case .value(let path, let value):
      output.append(Kind.value.rawValue)
      append(name: path.bytes, to: &output)
      append(value: value, to: &output)
    case .permissions(let path, let permissions):
      output.append(Kind.permissions.rawValue)
      append(name: path.bytes, to: &output)
      append(permissions, to: &output)
    case .removal(let path):
      output.append(Kind.removal.rawValue)
      append(name: path.bytes, to: &output)
    case .specialPermissions(let name, let permissions):
      output.append(Kind.specialPermissions.rawValue)
      append(name: Array(name.utf8), to: &output)
      append(permissions, to: &output)
    case .introduction(let domain):
      output.append(Kind.introduction.rawValue)
      output.append(number: domain.rawValue)
    case .release(let domain):
      output.append(Kind.release.rawValue)
      output.append(number: domain.rawValue)
    case .target(let stub, let target?):
      output.append(Kind.target.rawValue)
      output.append(number: stub.rawValue)
      output.append(number: target.rawValue)
    case .target(let stub, nil):
      output.append(Kind.noTarget.rawValue)
      output.append(number: stub.rawValue)
    case .quota(let domain, let quota, let value):
      output.append(domain == nil ? Kind.quota.rawValue : Kind.domainQuota.rawValue)
      if let domain { output.append(number: domain.rawValue) }
      append(name: Array(quota.rawValue.utf8), to: &output)
      output.append(number: Int64(value))
    case .features(let domain, let bits):
      output.append(Kind.features.rawValue)
      output.append(number: domain.rawValue)
      output.append(number: bits)
    }
  }

  /// The next commit, or nil when there is none that makes sense.
  static func commit(sequence: UInt64, from reader: inout RecordReader) -> XenStoreCommit? {
    guard let generation = reader.number(UInt64.self), let count = reader.number(UInt32.self) else { return nil }
    var changes: [XenStoreChange] = []
    for _ in 0..<count {
      guard let change = change(from: &reader) else { return nil }
      changes.append(change)
    }
    return XenStoreCommit(sequence: sequence, generation: generation, changes: changes)
  }

  /// The next change, or nil when there is none that makes sense.
  static func change(from reader: inout RecordReader) -> XenStoreChange? {
    guard let kind = reader.number(UInt8.self).flatMap(Kind.init(rawValue:)) else { return nil }
    switch kind {
    case .node:
      guard let path = path(from: &reader), let value = value(from: &reader), let permissions = permissions(from: &reader) else { return nil }
      return .node(path, value: value, permissions: permissions)
    case .value:
      guard let path = path(from: &reader), let value = value(from: &reader) else { return nil }
      return .value(path, value)
    case .permissions:
      guard let path = path(from: &reader), let permissions = permissions(from: &reader) else { return nil }
      return .permissions(path, permissions)
    case .removal: return path(from: &reader).map { .removal($0) }
    case .specialPermissions:
      guard let name = name(from: &reader), let permissions = permissions(from: &reader) else { return nil }
      return .specialPermissions(name: String(decoding: name, as: UTF8.self), permissions)
    case .introduction: return domain(from: &reader).map { .introduction($0) }
    case .release: return domain(from: &reader).map { .release($0) }
    case .target:
      guard let stub = domain(from: &reader), let target = domain(from: &reader) else { return nil }
      return .target(stub: stub, target)
    case .noTarget: return domain(from: &reader).map { .target(stub: $0, nil) }
    case .quota: return quota(of: nil, from: &reader)
    case .domainQuota: return domain(from: &reader).flatMap { quota(of: $0, from: &reader) }
    case .features:
      guard let domain = domain(from: &reader), let bits = reader.number(UInt32.self) else { return nil }
      return .features(domain, bits)
    }
  }

  // MARK: Parts

  private static func append(name: [UInt8], to output: inout [UInt8]) {
    output.append(number: UInt16(name.count))
    output.append(contentsOf: name)
  }

  private static func append(value: [UInt8], to output: inout [UInt8]) {
    output.append(number: UInt32(value.count))
    output.append(contentsOf: value)
  }

  private static func append(_ permissions: [XenStorePermission], to output: inout [UInt8]) {
    output.append(number: UInt16(permissions.count))
    for permission in permissions {
      output.append(number: permission.domain.rawValue)
      output.append(permission.access.rawValue)
    }
  }

  private static func quota(of domain: DomainID?, from reader: inout RecordReader) -> XenStoreChange? {
    guard let name = name(from: &reader), let quota = XenStoreQuota(name: String(decoding: name, as: UTF8.self)),
      let value = reader.number(Int64.self)
    else { return nil }
    return .quota(domain, quota, Int(value))
  }

  private static func name(from reader: inout RecordReader) -> ArraySlice<UInt8>? {
    guard let count = reader.number(UInt16.self) else { return nil }
    return reader.slice(count: Int(count))
  }

  private static func path(from reader: inout RecordReader) -> XenStorePath? {
    guard let name = name(from: &reader), name.first == UInt8(ascii: "/") else { return nil }
    return try? XenStorePath(name, relativeTo: .control)
  }

  private static func value(from reader: inout RecordReader) -> [UInt8]? {
    guard let count = reader.number(UInt32.self), let value = reader.slice(count: Int(count)) else { return nil }
    return Array(value)
  }

  private static func permissions(from reader: inout RecordReader) -> [XenStorePermission]? {
    guard let count = reader.number(UInt16.self) else { return nil }
    var permissions: [XenStorePermission] = []
    for _ in 0..<count {
      guard let domain = domain(from: &reader), let access = reader.number(UInt8.self) else { return nil }
      permissions.append(XenStorePermission(domain, XenStorePermission.Access(rawValue: access)))
    }
    return permissions
  }

  private static func domain(from reader: inout RecordReader) -> DomainID? {
    reader.number(UInt16.self).map { DomainID(rawValue: $0) }
  }
}
