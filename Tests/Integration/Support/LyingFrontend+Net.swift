import NetInterface
import NetPackets
import ProcessPlatform
import SharedMemory
import XenInterface

extension LyingLife {
  /// A network interface with one queue, whose two rings are empty.
  static func net(_ bed: TestBed, device: UInt32) throws -> LyingLife {
    try LyingLife(bed, kind: "vif", device: device) { platform in
      try LyingFrontend(platform, pageCount: 2) { pages, _ in
        for page in 0..<2 {
          // `req_event` and `rsp_event` of an empty ring.
          pages.store32(1, at: page * pageByteCount + 4)
          pages.store32(1, at: page * pageByteCount + 12)
        }
      } keys: { references, port in
        let transport = NetTransport(queues: [
          NetTransport.Queue(transmitRingReference: references[0], receiveRingReference: references[1], ports: .shared(port))
        ])
        // No `feature-sg`: nothing over a page is taken.
        return transport.keys.merging(NetAcceptance(capabilities: []).keys) { _, new in new }
      }
    }
  }
}

extension LyingFrontend {
  /// Says that it has put so many requests on the transmit ring.
  func claimRequests(_ producer: UInt32) { claim(producer, at: 0) }
}
