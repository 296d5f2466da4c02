import ArgumentParser
import BrokerWire
import DriverCommands
import ProcessPlatform
import XenInterface
import XenPlatform

/// `pvio domain`: domains by hand.
struct DomainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "domain", abstract: "Make, list and destroy domains.", subcommands: [Create.self, List.self, Destroy.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make a domain, and print its number.")
    @OptionGroup var common: CommonOptions
    @Option(help: "The number to use (default: the lowest free one).") var domid: UInt16?
    @Argument(help: "A name for people.") var name: String?

    func run() async throws {
      let platform = try DaemonConnection.platform(common.runDirectory)
      print(try named { () throws(PlatformError) in try platform.administrator.createDomain(domid.map(DomainID.init), name: name ?? "") })
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the domains.")
    @OptionGroup var common: CommonOptions
    @Flag(help: "Print JSON.") var json = false

    private struct Row: Encodable {
      var domid: UInt16
      var name: String
      var connections: UInt32
      var arena_pages: UInt32
      var event_channels: UInt32
    }

    func run() async throws {
      let platform = try DaemonConnection.platform(common.runDirectory)
      let domains = try named { () throws(PlatformError) in try platform.administrator.domains() }
      let rows = domains.map {
        Row(
          domid: $0.domain.rawValue, name: $0.name, connections: $0.connectionCount, arena_pages: $0.arenaPageCount,
          event_channels: $0.eventChannelCount)
      }
      if json { return try printJSON(["domains": rows]) }
      var table = TextTable(header: ["DOMID", "NAME", "PROCESSES", "GRANTABLE", "CHANNELS"])
      table.rows = rows.map {
        ["\($0.domid)", $0.name, "\($0.connections)", ByteCount(UInt64($0.arena_pages) * 4096).text, "\($0.event_channels)"]
      }
      print(table.text)
    }
  }

  struct Destroy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Destroy a domain: its devices are detached, its processes disconnected.")
    @OptionGroup var common: CommonOptions
    @Argument(help: "Number or name.") var domain: String

    func run() async throws {
      let platform = try DaemonConnection.platform(common.runDirectory)
      let domid = try DomainLookup.find(domain, platform)
      // Nobody could name a device of a domain that is gone, so they go first, as a toolstack does it.
      try await withStore(common) { store in
        for address in try await DeviceAddress.all(in: domid, store) {
          let detachment = DeviceDetachment(directory: common.runDirectory, store: store)
          if let remark = try await detachment.detach(address, patience: .seconds(10)) { Process.writeError("pvio: \(remark)\n") }
        }
      }
      try named { () throws(PlatformError) in try platform.administrator.destroyDomain(domid) }
    }
  }
}
