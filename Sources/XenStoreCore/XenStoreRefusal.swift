public import XenInterface

/// What a quota refused a domain: the last time, and how often since the domain came. A warning level only counts.
public struct XenStoreRefusal: Sendable, Hashable, CustomStringConvertible {
  public let quota: XenStoreQuota
  /// The domain whose quota it is.
  public let domain: DomainID
  /// The quota's value at the last refusal.
  public internal(set) var limit: Int
  /// What the domain would have had, in the quota's unit.
  public internal(set) var value: Int
  public internal(set) var count: UInt64

  init(quota: XenStoreQuota, domain: DomainID, limit: Int, value: Int, count: UInt64) {
    self.quota = quota
    self.domain = domain
    self.limit = limit
    self.value = value
    self.count = count
  }

  /// Reads one line of CONTROL `quota refusals`; nil for anything else.
  public init?(line: some StringProtocol) {
    let fields = line.split(separator: " ", omittingEmptySubsequences: false)
    guard fields.count == 5, let quota = XenStoreQuota(rawValue: String(fields[0])), let domain = UInt16(fields[1]),
      let limit = Int(fields[2]), let value = Int(fields[3]), let count = UInt64(fields[4])
    else { return nil }
    self.init(quota: quota, domain: DomainID(rawValue: domain), limit: limit, value: value, count: count)
  }

  /// How CONTROL `quota refusals` shows it: `<quota> <domid> <limit> <value> <count>`.
  public var line: String { "\(quota) \(domain) \(limit) \(value) \(count)" }

  /// For people: `quota nodes of domain 5: 1001 asked, 1000 allowed (refused 3 times)`.
  public var description: String {
    let times = count == 1 ? "once" : "\(count) times"
    if quota == .watchEvent { return "quota watch-event-msec of domain \(domain): events dropped that were not read for \(value) ms, \(limit) allowed (\(times))" }
    return quota.isWarning
      ? "quota \(quota) of domain \(domain): \(value) used, warning level \(limit) (passed \(times))"
      : "quota \(quota) of domain \(domain): \(value) asked, \(limit) allowed (refused \(times))"
  }
}

/// Refusals by quota and domain. Bounded: when it is full, the oldest makes room.
struct RefusalTable {
  struct Key: Hashable {
    let domain: DomainID
    let quota: XenStoreQuota
  }

  static let capacity = 1024

  private(set) var entries: [Key: XenStoreRefusal] = [:]
  private var order: [Key] = []

  /// Notes a refusal. What is to be told of it: the first, the tenth, the hundredth and so on of its kind, else nil.
  mutating func note(_ quota: XenStoreQuota, of domain: DomainID, limit: Int, value: Int) -> XenStoreRefusal? {
    let key = Key(domain: domain, quota: quota)
    if entries[key] == nil {
      if order.count == RefusalTable.capacity { entries[order.removeFirst()] = nil }
      order.append(key)
    }
    var entry = entries[key] ?? XenStoreRefusal(quota: quota, domain: domain, limit: limit, value: value, count: 0)
    entry.limit = limit
    entry.value = value
    entry.count += 1
    entries[key] = entry
    return RefusalTable.isPowerOfTen(entry.count) ? entry : nil
  }

  /// Enters a refusal that an earlier process noted.
  mutating func restore(_ entry: XenStoreRefusal) {
    let key = Key(domain: entry.domain, quota: entry.quota)
    guard order.count < RefusalTable.capacity, entries.updateValue(entry, forKey: key) == nil else { return }
    order.append(key)
  }

  mutating func remove(_ domain: DomainID) {
    guard order.contains(where: { $0.domain == domain }) else { return }
    order.removeAll { $0.domain == domain }
    entries = entries.filter { $0.key.domain != domain }
  }

  /// By domain, then by quota.
  var sorted: [XenStoreRefusal] { entries.values.sorted { ($0.domain, $0.quota) < ($1.domain, $1.quota) } }

  private static func isPowerOfTen(_ count: UInt64) -> Bool {
    var count = count
    while count > 1, count.isMultiple(of: 10) { count /= 10 }
    return count == 1
  }
}
