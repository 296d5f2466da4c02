import XenStoreMigration

extension XenStoreQuotas {
  /// The name under which ``unreadEventByteCount`` travels; the others have names on the wire.
  private static let unreadEvents = "unread-event-bytes"

  var migrated: MigrationGlobalQuotas {
    MigrationGlobalQuotas(
      domainDefaults: XenStoreQuota.allCases.map { MigrationQuota($0.rawValue, UInt32(clamping: self[$0])) },
      global: [MigrationQuota(XenStoreQuotas.unreadEvents, UInt32(clamping: unreadEventByteCount))])
  }

  /// Takes over the quotas of a stream; one that is not known has no effect, as the document says.
  mutating func take(_ migrated: MigrationGlobalQuotas) {
    for quota in migrated.domainDefaults {
      if let known = XenStoreQuota(name: quota.name) { self[known] = Int(quota.value) }
    }
    if let value = migrated.global.first(where: { $0.name == XenStoreQuotas.unreadEvents })?.value, value > 0 {
      unreadEventByteCount = Int(value)
    }
  }
}
