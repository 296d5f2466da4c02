import BlockFront
import BlockInterface
import LinuxSystem
import Synchronization
import SystemPackage
import XenInterface
import XenPlatform
import Xenbus

/// The store half of the benchmark's front-end: one queue, handed to a thread that polls it.
final class BlockLoadDriver: FrontendDriver {
  private let platform: any XenPlatform
  private let bufferCount: Int
  private let prepared = Mutex<BlockFrontConnection?>(nil)
  private let geometries: AsyncStream<BlockGeometry>
  private let connection: AsyncStream<BlockGeometry>.Continuation

  init(platform: any XenPlatform, bufferCount: Int) {
    self.platform = platform
    self.bufferCount = bufferCount
    (geometries, connection) = AsyncStream.makeStream()
  }

  /// Waits for the back-end; nil when the life cycle has ended without one.
  func geometry() async -> BlockGeometry? { await geometries.first { _ in true } }

  /// Runs `body` with the connection on a thread of its own, on processor 0. Once, after ``geometry()``.
  func run(_ body: @escaping @Sendable (BlockLoad) throws -> BlockFigures) async throws -> BlockFigures {
    try await withCheckedThrowingContinuation { continuation in
      do {
        try SystemThread.start(name: "front") { [self] in
          continuation.resume(
            with: Result {
              try ThreadPlacement.pin(toProcessor: 0)
              guard let connection = prepared.withLock({ $0.take() }) else { throw BenchFailure("the connection is gone") }
              return try body(BlockLoad(connection))
            })
        }
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }

  // MARK: The life cycle's calls

  func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    let offered = try BlockFeatures(reading: backend)
    let shape = BlockFrontConnection.Shape(
      queueCount: 1, ringPageOrder: min(BlockFrontConfiguration().ringPageOrder, offered.maximumRingPageOrder), maximumIndirectSegments: 0,
      isPersistent: offered.persistentGrants, dataPageCount: bufferCount)
    let channel = try platform.allocateUnboundChannel(for: backend.domain)
    let peer = backend.domain
    let references = try prepared.withLock { [platform] prepared in
      let arena = try platform.makeGrantArena(for: peer, access: .readWrite, pageCount: shape.pageCount)
      let connection = BlockFrontConnection(shape: shape, arena: arena, channels: [channel])
      let references = connection.queues[0].ringReferences
      prepared = connection
      return references
    }
    return BlockTransport(queues: [BlockTransport.Queue(ringReferences: references, port: channel.port)], persistentGrants: shape.isPersistent)
      .keys
  }

  func connected(backend: XenbusDirectory) async throws { connection.yield(try BlockGeometry(reading: backend)) }

  func disconnect() async { connection.finish() }
}
