import XenStoreMigration

extension XenStoreQuotas {
  /// The names under which quotas travel, with Xen's where it has one.
  private static var names: [(name: String, quota: WritableKeyPath<XenStoreQuotas, Int>)] {
    [
      ("watches", \.watchesPerDomain),
      ("transactions", \.transactionsPerDomain),
      ("node-permissions", \.permissionsPerNode),
      ("outstanding", \.unreadRepliesPerConnection),
      ("unread-event-bytes", \.unreadEventByteCount),
    ]
  }

  var migrated: MigrationGlobalQuotas {
    MigrationGlobalQuotas(
      domainDefaults: XenStoreQuotas.names.map { MigrationQuota($0.name, UInt32(clamping: self[keyPath: $0.quota])) })
  }

  /// Takes over the quotas of a stream; one that is not known has no effect, as the document says.
  mutating func take(_ migrated: MigrationGlobalQuotas) {
    for (name, quota) in XenStoreQuotas.names {
      guard let value = migrated.domainDefaults.first(where: { $0.name == name })?.value else { continue }
      // Zero stands for no limit there.
      self[keyPath: quota] = value == 0 ? Int(UInt32.max) : Int(value)
    }
  }
}
