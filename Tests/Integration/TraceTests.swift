import Foundation
import LinuxSystem
import Testing

extension Integration {
  /// `pvio trace` on devices under load.
  @Suite struct Traces {
    private struct Report: Decodable {
      struct Request: Decodable { var operation: String, bytes: UInt64, status: Int, steps: [String: Int64] }
      struct Bucket: Decodable { var nanoseconds_from: UInt64, requests: Int }
      var device: String, count: Int, requests: [Request], mean_nanoseconds: UInt64, histogram: [Bucket]
    }

    @Test func aDisksRequestsAreShownWithTheirSteps() async throws {
      try await withTestBed { bed in
        try await bed.attach("ram=16M")
        let export = try await bed.export()
        let load = try bed.start(
          "fio", ["--name=load", "--ioengine=nbd", "--uri=\(bed.nbdURI())", "--rw=randrw", "--bs=4k", "--size=16M", "--time_based", "--runtime=100"])
        let json = try await bed.pvio("trace", "7-xvda", "--requests", "50", "--json")
        let report = try JSONDecoder().decode(Report.self, from: Data(json.utf8))
        #expect(report.device == "7-xvda" && report.count == 50 && report.requests.count == 50)
        for request in report.requests {
          #expect(["read", "write"].contains(request.operation) && request.bytes == 4096 && request.status == 0)
          let times = ["ring", "map", "submit", "complete", "unmap", "response"].compactMap { request.steps[$0] }
          #expect(times.count == 6 && times == times.sorted() && times[0] == 0, "\(request.steps)")
        }
        #expect(report.histogram.reduce(0) { $0 + $1.requests } == 50 && report.mean_nanoseconds > 0)
        let text = try await bed.pvio("trace", "7-xvda", "--requests", "3")
        let lines = text.split(separator: "\n")
        #expect(lines.count >= 4 && lines[0].split(separator: " ") == "request queue operation bytes at grant ring event map submit complete unmap response event done status".split(separator: " "), "\(text)")
        let bars = try await bed.pvio("trace", "7-xvda", "--requests", "100", "--histogram")
        #expect(bars.hasPrefix("100 requests, ") && bars.contains("#"), "\(bars)")
        load.kill()
        try await bed.detach(export)
        let gone = try await bed.run(Program.pvio, ["trace", "7-xvda"])
        #expect(gone.ending == .exited(1) && gone.errors == "pvio: there is no device called 7-xvda: see 'pvio list'\n")
        try await bed.pvio("domain", "destroy", "7")
        try await bed.stopDaemon()
      }
    }

    @Test func aDriverOfTheFrameworkIsTracedWithoutAnyDoingOfItsOwn() async throws {
      try await withTestBed { bed in
        try await bed.pvio("domain", "create", "--domid", "7", "guest")
        try await bed.pvio("attach", "guest", "entropy")
        let trace = try bed.start(Program.pvio, ["trace", "7-entropy0", "--requests", "10", "--json"])
        let reader = try bed.start(Program.pvio, ["entropy", "7", "--bytes", "400000000"])
        #expect(try await trace.finish() == .exited(0))
        reader.kill()
        let report = try JSONDecoder().decode(Report.self, from: Data(trace.output.utf8))
        #expect(report.count == 10 && report.requests.allSatisfy { $0.operation == "entropy" && $0.bytes > 0 && $0.steps["map"] != nil && $0.steps["unmap"] != nil })
      }
    }
  }
}
