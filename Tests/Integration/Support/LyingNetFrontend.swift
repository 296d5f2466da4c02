import Glibc
import LinuxSystem
import NetInterface
import NetPackets
import ProcessPlatform
import SharedMemory
import Synchronization
import XenInterface
import XenPlatform
import XenStoreClient
import Xenbus

/// A front-end of a network interface in the test's own process, against a back-end in another one: connects as it should, with a ring and an
/// event channel that the test then does to what it likes.
final class LyingNetFrontend: FrontendDriver {
  /// Kept as long as this is.
  private let arena: Mutex<GrantArena>
  private let transmitRing: SharedBytes
  private let keys: [String: String]
  private let channel: EventChannel
  private let wasOffered = Atomic(false)

  /// Makes rings for the back-end in domain 0.
  init(_ platform: ProcessPlatform) throws {
    let arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 4)
    guard let first = arena.allocatePages(contiguous: 2) else { throw TestFailure("an arena of four pages has no two") }
    transmitRing = arena.bytes.slice(at: first * pageByteCount, byteCount: pageByteCount)
    channel = try platform.allocateUnboundChannel(for: .control)
    for page in [first, first + 1] {
      arena.bytes.zero(at: page * pageByteCount, byteCount: pageByteCount)
      // `req_event` and `rsp_event` of an empty ring.
      arena.bytes.store32(1, at: page * pageByteCount + 4)
      arena.bytes.store32(1, at: page * pageByteCount + 12)
    }
    let transport = NetTransport(queues: [
      NetTransport.Queue(
        transmitRingReference: arena.grant(page: first), receiveRingReference: arena.grant(page: first + 1), ports: .shared(channel.port))
    ])
    // No `feature-sg`: nothing over a page is taken.
    keys = transport.keys.merging(NetAcceptance(capabilities: []).keys) { _, new in new }
    self.arena = Mutex(arena)
  }

  /// Once: the ring that was broken is not offered again.
  func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    if wasOffered.exchange(true, ordering: .relaxed) { try await Task.sleep(for: .seconds(600)) }
    return keys
  }

  func connected(backend: XenbusDirectory) async throws {}
  func disconnect() async {}

  /// Says that it has put so many requests on the transmit ring.
  func claimRequests(_ producer: UInt32) {
    transmitRing.storeRelease32(producer, at: 0)
    signal()
  }

  func signal() {
    var one: UInt64 = 1
    // SAFETY: eight bytes of a variable, to a descriptor that the channel owns.
    _ = unsafe write(channel.signalDescriptor.rawValue, &one, 8)
  }
}

/// The life cycle of such a front-end, as domain 7.
struct LyingNetLife {
  let frontend: LyingNetFrontend
  private let notices = XenbusNotices()
  private let store: XenStoreClient
  private let platform: ProcessPlatform
  private let life: Task<XenbusEnding, any Error>

  init(_ bed: TestBed, device: UInt32) throws {
    platform = try ProcessPlatform.connect(socketPath: "\(bed.runDirectory)/domains/7/broker.sock")
    store = try XenStoreClient(path: "\(bed.runDirectory)/domains/7/store.sock")
    frontend = try LyingNetFrontend(platform)
    let paths = XenbusDevicePaths(kind: "vif", device: device, frontendDomain: DomainID(rawValue: 7))
    let run = XenbusFrontend(driver: frontend, paths: paths, store: XenbusClientStore(store), notices: notices)
    life = Task { try await run.run() }
  }

  func end() async {
    notices.stop()
    _ = await life.result
    store.close()
    platform.disconnect()
  }
}
