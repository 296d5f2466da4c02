import Foundation
import Testing
import XenInterface
import XenStoreClient
import XenStoreCore
import XenStoreServer
import XenStoreWire

@Suite(.timeLimit(.minutes(5))) struct AdministrationTests {
  @Test func theAuditNamesTheProcessAtTheOtherEnd() async throws {
    try await withDaemon { daemon in
      let before = UInt64(Date().timeIntervalSince1970 * 1_000_000)
      let client = try XenStoreClient(path: daemon.privilegedPath)
      try await client.write("/a", "1")
      let entries = try await daemon.perform { server in server.core.audit.map { Array($0.entries(after: 0)) } ?? [] }
      let entry = try #require(entries.first)
      #expect(entries.count == 1)
      #expect(entry.label == "pid:\(ProcessInfo.processInfo.processIdentifier),uid:\(getuid())")
      #expect(entry.unixMicroseconds >= before)
      #expect(entry.operation == .write && entry.path.text == "/a" && entry.domain == .control)
    }
  }

  @Test(.enabled(if: XenTool.controlIsPresent, "xenstore-control comes with Xen itself"))
  func xenstoreControlShowsAndSetsQuotas() async throws {
    try await withDaemon { daemon in
      let settings = try XenTool("control", "quota").run(daemon).output
      #expect(settings.contains("nodes            :     1000 Nodes per domain\n"))
      #expect(try XenTool("control", "quota", "set", "nodes", "7").run(daemon).status == 0)
      let changed = try XenTool("control", "quota").run(daemon).output
      #expect(changed.contains("nodes            :        7 Nodes per domain\n"))
      let usage = try XenTool("control", "quota", "0").run(daemon).output
      #expect(usage.hasPrefix("Domain 0:\nnodes           :"))
      let report = try XenTool("control", "memreport").run(daemon).output
      #expect(report.contains("connections: 1\n"))
    }
  }

  @Test(.enabled(if: XenTool.controlIsPresent, "xenstore-control comes with Xen itself"))
  func xenstoreControlShowsWhatWasRefusedAndWhoChangedWhat() async throws {
    try await withDaemon { daemon in
      let client = try XenStoreClient(path: daemon.privilegedPath)
      try await client.write("/local/domain/5/data", "")
      try await client.setPermissions("/local/domain/5/data", [XenStorePermission(DomainID(rawValue: 5), .none)])
      #expect(try XenTool("control", "quota", "set", "nodes", "1").run(daemon).status == 0)
      #expect(try XenTool("write", "data/x", "1").run(daemon, path: daemon.guestPath).status != 0)
      let refusals = try XenTool("control", "quota", "refusals").run(daemon).output
      #expect(refusals.trimmingCharacters(in: .newlines) == "nodes 5 1 2 1")
      let lines = try XenTool("control", "audit").run(daemon).output.split(separator: "\n")
      #expect(lines.map { $0.split(separator: " ").suffix(2).joined(separator: " ") } == [
        "write /local/domain/5/data", "setperms /local/domain/5/data", "setquota /",
      ])
    }
  }
}
