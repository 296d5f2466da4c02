/// One case of the net benchmark.
struct NetCase {
  enum Path {
    /// A front-end floods a back-end that takes every frame and does nothing with it.
    case oneHop
    /// The same through the switch to another vif, whose front-end counts what arrives.
    case twoHops
    /// TCP between two network namespaces, from TAP interface to TAP interface.
    case tapTCP
    /// The same way, UDP frames of ``byteCount`` bytes as fast as a generator puts them on the first interface.
    case tapUDP
  }

  var name: String
  var path: Path
  /// Bytes of a frame; 0 where TCP chooses.
  var byteCount: Int

  static let all = [
    NetCase(name: "hop-64", path: .oneHop, byteCount: 64),
    NetCase(name: "hop-1500", path: .oneHop, byteCount: 1500),
    NetCase(name: "switch-64", path: .twoHops, byteCount: 64),
    NetCase(name: "switch-1500", path: .twoHops, byteCount: 1500),
    NetCase(name: "tap-tcp", path: .tapTCP, byteCount: 0),
    NetCase(name: "udp-64", path: .tapUDP, byteCount: 64),
  ]

  /// Whether it goes through network namespaces instead of a front-end of the benchmark's own.
  var usesTaps: Bool { path == .tapTCP || path == .tapUDP }
}

/// What one round of a case gives.
struct NetFigures {
  /// Frames a second that arrived, or bits a second of TCP.
  var rate: Double
  /// Processor time of both ends and of what is between them, per frame in nanoseconds; 0: not measured.
  var frameNanoseconds: Double = 0

  static func rows(_ netCase: NetCase, ours: [NetFigures], peer: (name: String, figures: [NetFigures])?) -> [BenchReport.Row] {
    var columns: [BenchReport.Column<NetFigures>] = [("", netCase.path == .tapTCP ? "bit/s" : "frames/s", .higher, \.rate)]
    if netCase.path == .tapUDP {
      columns.append((" cpu", "ns of CPU a frame, what is between the interfaces", .lower, \.frameNanoseconds))
    } else if netCase.path != .tapTCP {
      columns.append((" cpu", "ns of CPU a frame, all processes", .lower, \.frameNanoseconds))
    }
    return BenchReport.rows(netCase.name, columns, ours: ours, peer: peer)
  }
}
