public import XenInterface

/// A quota by name. Zero means that there is no limit.
public struct MigrationQuota: Hashable, Sendable {
  public var name: String
  public var value: UInt32

  public init(_ name: String, _ value: UInt32) {
    self.name = name
    self.value = value
  }
}

/// The quotas of the whole store (`GLOBAL_QUOTA_DATA`).
public struct MigrationGlobalQuotas: Hashable, Sendable {
  /// What a domain gets unless it has values of its own.
  public var domainDefaults: [MigrationQuota]
  /// What applies to no single domain.
  public var global: [MigrationQuota]

  public init(domainDefaults: [MigrationQuota], global: [MigrationQuota] = []) {
    self.domainDefaults = domainDefaults
    self.global = global
  }

  public func append(to stream: inout MigrationStreamWriter) {
    stream.append(.globalQuotas) { body in
      body.put(UInt16(domainDefaults.count))
      body.put(UInt16(global.count))
      body.put(domainDefaults + global)
    }
  }

  public init(_ record: MigrationRecord) throws(MigrationFault) {
    var record = record
    let domainCount = Int(try record.integer("n-dom-quota", UInt16.self))
    let globalCount = Int(try record.integer("n-glob-quota", UInt16.self))
    let all = try record.quotas(count: domainCount + globalCount)
    domainDefaults = Array(all[..<domainCount])
    global = Array(all[domainCount...])
    try record.finish()
  }
}

/// A domain's own quotas and features (`DOMAIN_DATA`).
public struct MigrationDomain: Hashable, Sendable {
  public var domain: DomainID
  /// The feature field of the domain's store page.
  public var features: UInt32
  public var quotas: [MigrationQuota]

  public init(domain: DomainID, features: UInt32 = 0, quotas: [MigrationQuota] = []) {
    self.domain = domain
    self.features = features
    self.quotas = quotas
  }

  public func append(to stream: inout MigrationStreamWriter) {
    stream.append(.domain) { body in
      body.put(domain)
      body.put(UInt16(quotas.count))
      body.put(features)
      body.put(quotas)
    }
  }

  public init(_ record: MigrationRecord) throws(MigrationFault) {
    var record = record
    domain = try record.domain("domain-id")
    let count = Int(try record.integer("n-quota", UInt16.self))
    features = try record.integer("features")
    quotas = try record.quotas(count: count)
    try record.finish()
  }
}

extension MigrationFieldWriter {
  /// All values, then all names with their NULs.
  fileprivate mutating func put(_ quotas: [MigrationQuota]) {
    for quota in quotas { put(quota.value) }
    for quota in quotas {
      put(raw: quota.name.utf8)
      put(UInt8(0))
    }
  }
}

extension MigrationRecord {
  fileprivate mutating func quotas(count: Int) throws(MigrationFault) -> [MigrationQuota] {
    var values: [UInt32] = []
    for _ in 0..<count { values.append(try integer("quota-val")) }
    let names = try raw("quota-names", byteCount: remainingByteCount)
    let texts = names.split(separator: 0, omittingEmptySubsequences: false)
    guard names.isEmpty ? count == 0 : (names.last == 0 && texts.count == count + 1) else { throw fault("quota-names") }
    return zip(values, texts).map { MigrationQuota(String(decoding: $1, as: UTF8.self), $0) }
  }
}
