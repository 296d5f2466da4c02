import Glibc
import LinuxSystem
import ProcessPlatform
import SharedMemory
import Synchronization
import XenInterface
import XenPlatform
import XenStoreClient
import Xenbus

/// A front-end in the test's own process, against a back-end in another one: connects as it should, with pages and an event channel that
/// the test then does to what it likes.
final class LyingFrontend: FrontendDriver {
  /// Kept as long as this is.
  private let arena: Mutex<GrantArena>
  /// All pages, in order.
  let pages: SharedBytes
  private let published: [String: String]
  private let channel: EventChannel
  private let wasOffered = Atomic(false)

  /// Makes `pageCount` pages for the back-end in domain 0; `keys` says what is written into the store of them.
  init(
    _ platform: ProcessPlatform, pageCount: Int, layOut: (SharedBytes, [GrantReference]) -> Void,
    keys: ([GrantReference], EventChannelPort) -> [String: String]
  ) throws {
    let arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: pageCount)
    guard arena.allocatePages(contiguous: pageCount) == 0 else { throw TestFailure("a new arena does not begin with page 0") }
    pages = arena.bytes
    let references = (0..<pageCount).map { arena.grant(page: $0) }
    channel = try platform.allocateUnboundChannel(for: .control)
    layOut(pages, references)
    published = keys(references, channel.port)
    self.arena = Mutex(arena)
  }

  /// Once: the ring that was broken is not offered again.
  func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    if wasOffered.exchange(true, ordering: .relaxed) { try await Task.sleep(for: .seconds(600)) }
    return published
  }

  func connected(backend: XenbusDirectory) async throws {}
  func disconnect() async {}

  /// Writes a word of the first page, and signals.
  func claim(_ value: UInt32, at offset: Int) {
    pages.storeRelease32(value, at: offset)
    signal()
  }

  func signal() {
    var one: UInt64 = 1
    // SAFETY: eight bytes of a variable, to a descriptor that the channel owns.
    _ = unsafe write(channel.signalDescriptor.rawValue, &one, 8)
  }
}

/// The life cycle of such a front-end, as domain 7.
struct LyingLife {
  let frontend: LyingFrontend
  private let notices = XenbusNotices()
  private let store: XenStoreClient
  private let platform: ProcessPlatform
  private let life: Task<XenbusEnding, any Error>

  init(_ bed: TestBed, kind: String, device: UInt32 = 0, _ make: (ProcessPlatform) throws -> LyingFrontend) throws {
    platform = try ProcessPlatform.connect(socketPath: "\(bed.runDirectory)/domains/7/broker.sock")
    store = try XenStoreClient(path: "\(bed.runDirectory)/domains/7/store.sock")
    frontend = try make(platform)
    let paths = XenbusDevicePaths(kind: kind, device: device, frontendDomain: DomainID(rawValue: 7))
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
