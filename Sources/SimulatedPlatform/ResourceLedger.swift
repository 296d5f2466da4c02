public import XenInterface

/// What every domain of a simulated hypervisor holds. A test ends with an empty one.
public struct ResourceLedger: Sendable, Equatable {
  public struct Account: Sendable, Equatable {
    public var arenas = 0
    /// Pages of 4096 bytes in its arenas.
    public var arenaPages = 0
    /// Event channel ends, whatever their state.
    public var eventChannels = 0
    /// Pages of other domains that it has mapped; a page mapped twice counts twice.
    public var mappedPages = 0

    public init() {}
  }

  private var accounts: [DomainID: Account] = [:]

  init() {}

  public internal(set) subscript(domain: DomainID) -> Account {
    get { accounts[domain] ?? Account() }
    set { accounts[domain] = newValue }
  }

  /// What has not been given back, one line a domain; empty when nothing is left.
  public var leaks: String {
    accounts.filter { $0.value != Account() }.sorted { $0.key < $1.key }.map { domain, account in
      "domain \(domain) holds \(account.arenas) arenas (\(account.arenaPages) pages), \(account.eventChannels) event channels"
        + " and has \(account.mappedPages) pages mapped"
    }.joined(separator: "\n")
  }
}
