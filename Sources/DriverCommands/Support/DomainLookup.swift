import BrokerWire
public import ProcessPlatform
public import XenInterface
public import XenPlatform

/// Domains by number or name.
public enum DomainLookup {
  public static func find(_ text: String, _ platform: ProcessPlatform) throws -> DomainID {
    let domains = try named { () throws(PlatformError) in try platform.administrator.domains() }
    let matches = domains.filter { "\($0.domain)" == text || $0.name == text }
    guard let match = matches.first else {
      throw CommandFailure("there is no domain '\(text)': make it with 'pvio domain create', or see 'pvio domain list'")
    }
    guard matches.count == 1 else { throw CommandFailure("\(matches.count) domains are called '\(text)': use a number") }
    return match.domain
  }
}

/// Runs a broker call, and turns its failure into the line that the user sees.
public func named<Result>(_ body: () throws(PlatformError) -> Result) throws -> Result {
  do { return try body() } catch { throw CommandFailure("\(error)") }
}
