import Foundation
import Testing

extension Integration {
  @Suite struct StoreBenchmarks {
    /// Whatever it measures here, the load checks every reply: a wrong one ends it.
    @Test(arguments: ["write-4", "txnc-16", "write-4-pipelined", "write-16-threads", "fanout-100"])
    func aStoreBearsTheLoadAndTheFiguresAreThere(of name: String) async throws {
      let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
      try await withTestBed(daemon: false) { bed in
        let command = "cd '\(root)' && '\(Program.pvio)' bench store --anyway --json --rounds 1 --seconds 0.05 --only \(name)"
        let output = try await bed.call("sh", "-c", command)
        let report = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
        let rows = try #require(report["rows"] as? [[String: Any]])
        #expect(rows.map { $0["case"] as? String } == [name])
        let median = try #require((rows.first?["ours"] as? [String: Any])?["median"] as? Double)
        #expect(median > 0)
      }
    }
  }
}
