import ArgumentParser
import DriverCommands
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreWire

extension StoreCommand {
  struct Quotas: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print what each domain uses of its quotas, and what was refused: which quota, of which domain, at what value.")
    @OptionGroup var common: CommonOptions
    @Flag(help: "Print JSON: quotas, refusals, and the limits of domains that have none of their own.") var json = false
    @Argument(help: "Number of a domain (default: all).") var domain: UInt16?

    struct Usage: Encodable {
      var domid: UInt16
      var quota: String
      var used: Int
      /// Absent for no limit.
      var limit: Int?
    }

    struct Refusal: Encodable {
      var domid: UInt16
      var quota: String
      var limit: Int
      var value: Int
      var count: UInt64

      init(_ refusal: XenStoreRefusal) {
        domid = refusal.domain.rawValue
        quota = refusal.quota.rawValue
        limit = refusal.limit
        value = refusal.value
        count = refusal.count
      }
    }

    struct Report: Encodable {
      var quotas: [Usage] = []
      var refusals: [Refusal] = []
      var limits: [String: Int] = [:]
    }

    func run() async throws {
      let report = try await withStore(common) { store in try await self.report(from: store) }
      if json { return try printJSON(report) }
      var usage = TextTable(header: ["DOMID", "QUOTA", "USED", "LIMIT"])
      usage.rows = report.quotas.map { ["\($0.domid)", $0.quota, "\($0.used)", $0.limit.map(String.init) ?? "-"] }
      print(usage.text)
      guard !report.refusals.isEmpty else { return print("\nnothing was refused") }
      var refusals = TextTable(header: ["REFUSED", "QUOTA", "LIMIT", "VALUE", "TIMES"])
      refusals.rows = report.refusals.map { ["domain \($0.domid)", $0.quota, "\($0.limit)", "\($0.value)", "\($0.count)"] }
      print("\n" + refusals.text)
    }

    private func report(from store: XenStoreClient) async throws -> Report {
      var report = Report()
      for quota in XenStoreQuota.allCases { report.limits[quota.rawValue] = try await store.quota(quota.rawValue) }
      for domain in try await domains(store) { report.quotas += try await usage(of: domain, store) }
      let refusals = try await refusals(store).filter { domain == nil || $0.domain.rawValue == domain }
      report.refusals = refusals.map { Refusal($0) }
      return report
    }

    /// The one that was asked for, or all that the store knows or that hold anything.
    private func domains(_ store: XenStoreClient) async throws -> [DomainID] {
      if let domain { return [DomainID(rawValue: domain)] }
      var all: [DomainID] = []
      while true {
        let lines = try await store.control(["quota", "domains", "\(all.count)"]).split(separator: "\n")
        if lines.isEmpty { return all }
        for line in lines {
          guard let number = UInt16(line) else { throw CommandFailure("quotas: the daemon's reply has a line that is none of ours: '\(line)'") }
          all.append(DomainID(rawValue: number))
        }
      }
    }

    /// Reads the lines `<quota> : <number>` behind the first.
    private func usage(of domain: DomainID, _ store: XenStoreClient) async throws -> [Usage] {
      let text: String
      do throws(XenStoreClientError) {
        text = try await store.control(["quota", domain.description])
      } catch {
        guard error.storeError == .noEntry else { throw error }
        if self.domain == nil { return [] }
        throw CommandFailure("there is no domain \(domain): 'pvio domain list' shows which there are")
      }
      var usage: [Usage] = []
      for line in text.split(separator: "\n").dropFirst() {
        let fields = line.split(separator: ":").map { $0.filter { $0 != " " } }
        guard fields.count == 2, let used = Int(fields[1]) else {
          throw CommandFailure("quotas: the daemon's reply has a line that is none of ours: '\(line)'")
        }
        let limit = domain == .control ? 0 : try await store.quota(fields[0], of: domain)
        usage.append(Usage(domid: domain.rawValue, quota: fields[0], used: used, limit: limit == 0 ? nil : limit))
      }
      return usage
    }

    private func refusals(_ store: XenStoreClient) async throws -> [XenStoreRefusal] {
      var all: [XenStoreRefusal] = []
      while true {
        let lines = try await store.control(["quota", "refusals", "\(all.count)"]).split(separator: "\n")
        if lines.isEmpty { return all }
        for line in lines {
          guard let refusal = XenStoreRefusal(line: line) else {
            throw CommandFailure("quotas: the daemon's reply has a line that is none of ours: '\(line)'")
          }
          all.append(refusal)
        }
      }
    }
  }
}
