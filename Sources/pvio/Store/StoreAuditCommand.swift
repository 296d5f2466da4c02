import ArgumentParser
import DriverCommands
import Foundation
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreWire

extension StoreCommand {
  struct Audit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print who changed what, and when: the last changes of the store, the oldest first.",
      discussion: "WHO is the process at the other end of the connection, as the kernel names it.")
    @OptionGroup var common: CommonOptions
    @Option(help: ArgumentHelp("Only changes behind the one with this number.", valueName: "number")) var after: UInt64 = 0
    @Flag(name: [.short, .long], help: "Go on with what comes, until a signal.") var follow = false
    @Flag(help: "Print JSON: a list, or an object a line with --follow.") var json = false

    struct Row: Encodable {
      var sequence: UInt64
      /// Microseconds since 1970-01-01 UTC.
      var unix_microseconds: UInt64
      var domid: UInt16
      var who: String
      var operation: String
      var path: String

      init(_ entry: XenStoreAudit.Entry) {
        sequence = entry.sequence
        unix_microseconds = entry.unixMicroseconds
        domid = entry.domain.rawValue
        who = entry.label
        operation = entry.operation.rawValue
        path = entry.path.text
      }
    }

    func run() async throws {
      try await withStore(common) { store in
        if follow { return try await goOn(store) }
        let entries = try await entries(after: after, store)
        if json { return try printJSON(entries.map(Row.init)) }
        var table = TextTable(header: ["NUMBER", "TIME", "DOMID", "WHO", "CHANGE", "PATH"])
        table.rows = entries.map(Self.columns)
        print(table.text)
      }
    }

    private func goOn(_ store: XenStoreClient) async throws {
      var last = after
      // Any change fires this watch; the audit then says which it was.
      for await _ in try await store.watch("/") {
        for entry in try await entries(after: last, store) {
          if json { try printJSONLine(Row(entry)) } else { print(Self.columns(entry).joined(separator: "  ")) }
          last = entry.sequence
        }
        flushOutput()
      }
      throw CommandFailure("store: the connection was lost")
    }

    private func entries(after sequence: UInt64, _ store: XenStoreClient) async throws -> [XenStoreAudit.Entry] {
      var entries: [XenStoreAudit.Entry] = []
      while true {
        let text: String
        do throws(XenStoreClientError) {
          text = try await store.control(["audit", "\(entries.last?.sequence ?? sequence)"])
        } catch {
          guard error.storeError == .notImplemented else { throw error }
          throw CommandFailure("the audit is off: 'pvio store control audit on' begins one")
        }
        let lines = text.split(separator: "\n")
        if lines.isEmpty { return entries }
        for line in lines {
          guard let entry = XenStoreAudit.Entry(line: line) else {
            throw CommandFailure("audit: the daemon's reply has a line that is none of ours: '\(line)'")
          }
          entries.append(entry)
        }
      }
    }

    private static func columns(_ entry: XenStoreAudit.Entry) -> [String] {
      let time = Date(timeIntervalSince1970: Double(entry.unixMicroseconds / 1_000_000)).ISO8601Format()
      let fraction = String(entry.unixMicroseconds % 1_000_000 + 1_000_000).dropFirst()
      return [
        "\(entry.sequence)", "\(time.dropLast()).\(fraction)Z", "\(entry.domain)", entry.label, entry.operation.rawValue, entry.path.text,
      ]
    }
  }
}
