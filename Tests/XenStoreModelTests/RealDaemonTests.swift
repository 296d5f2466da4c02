import Foundation
import Testing
import XenInterface
import XenStoreWire

private enum RealDaemon {
  static let path = ProcessInfo.processInfo.environment["PVIO_C_XENSTORED"]
}

/// The reference itself, on demand, against a running C xenstored 4.17: `PVIO_C_XENSTORED` names its socket. It need not have Xen below it.
/// Whatever is in that store is removed.
@Suite(.serialized, .enabled(if: RealDaemon.path != nil, "PVIO_C_XENSTORED names no socket"))
struct RealDaemonTests {
  /// Takes out what docs/decisions/0015-store-deviations.md lists.
  private static func normalize(_ request: XenStorePacket, _ packet: XenStorePacket) -> XenStorePacket {
    var packet = Comparison.withoutGeneration(request, packet)
    if request.type == .getPermissions, request.payload.first == UInt8(ascii: "@") { return request }
    // Which names are behind an offset depends on their order.
    if packet.type == .directoryPart { packet.payload = [] }
    if packet.type == .directory { packet.payload = packet.payload.split(separator: 0).map { $0 + [0] }.sorted { $0.lexicographicallyPrecedes($1) }.flatMap(\.self) }
    return packet
  }

  @Test func theReferenceAnswersAsTheRealDaemonDoes() throws {
    let environment = ProcessInfo.processInfo.environment
    let rounds = environment["PVIO_ROUNDS"].flatMap { UInt64($0) } ?? 20
    let seeds = environment["PVIO_SEED"].flatMap { UInt64($0) }.map { $0...$0 } ?? 1...rounds
    for seed in seeds {
      let daemon = SocketUnderTest(path: try #require(RealDaemon.path))
      try daemon.clear()
      var comparison = try Comparison(limits: ReferenceStore.Limits(), store: daemon, clients: 2)
      comparison.normalize = Self.normalize
      comparison.isLenientOnEvents = true
      var run: [Operation] = []
      for operation in Schedule(seed: seed, count: 300, isPrivilegedOnly: true).operations {
        run.append(operation)
        let wasInConflict = comparison.isInConflict(operation)
        guard let difference = try comparison.perform(operation) else { continue }
        // Listed there: in a transaction that the real daemon will not commit. From here on the two stores are no longer alike.
        if wasInConflict || comparison.isInConflict(operation) { break }
        let text = (environment["PVIO_SEED"] == nil ? run.suffix(25) : run[...]).map { "  \($0)" }.joined(separator: "\n")
        Issue.record("PVIO_SEED=\(seed), operation \(run.count - 1): \(difference)\n\(text)")
        break
      }
    }
  }
}
