public import EventLoop
public import Logging
import SharedRing
import XenInterface
public import XenPlatform
public import Xenbus

/// The store half of a front-end whose device is byte streams: makes and grants their pages, tells the back-end, takes them back.
///
/// Its endpoints live on a loop, which must run until they have been closed.
public final class ByteStreamFrontendDriver<Device: ByteStreamFrontendDevice, Endpoint: ByteStreamEndpoint>: FrontendDriver {
  private let device: Device
  private let half: LoopConfined<ByteStreamFrontendHalf<Endpoint>>
  private let platform: any XenPlatform
  private let notices: XenbusNotices
  private let logger: Logger
  private let onConnected: @Sendable () -> Void

  private var loop: EventLoop { half.loop }

  /// - Parameters:
  ///   - notices: the same that the life cycle gets.
  ///   - onConnected: called each time a back-end has connected.
  ///   - endpoints: makes what uses the streams, as many as there can be. Called on the loop.
  public init(
    _ device: Device, loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices, logger: Logger,
    onConnected: @escaping @Sendable () -> Void = {}, endpoints: @escaping @Sendable () throws -> [Endpoint]
  ) async throws {
    self.device = device
    self.platform = platform
    self.notices = notices
    self.logger = logger
    self.onConnected = onConnected
    half = try await loop.run { () -> Result<LoopConfined<ByteStreamFrontendHalf<Endpoint>>, any Error> in
      Result { LoopConfined(ByteStreamFrontendHalf(try endpoints()), on: loop) }
    }.get()
  }

  /// Runs `body` with the endpoints on their loop.
  public func withEndpoints<Result: Sendable>(_ body: @escaping @Sendable ([Endpoint]) -> Result) async -> Result {
    await loop.run { [half] in body(half.value.endpoints) }
  }

  /// Runs `body` with the endpoints on their loop, in one of its next turns. From any thread.
  func onEndpoints(_ body: @escaping @Sendable ([Endpoint]) -> Void) { loop.execute { [half] in body(half.value.endpoints) } }

  /// What all streams have moved. From any task.
  public func counters() async -> ByteStreamCounters { await withEndpoints { $0.total } }

  /// Ends the endpoints for good. After the life cycle has ended.
  public func close() async {
    await disconnect()
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      loop.execute { [half] in half.value.endpoints.close { continuation.resume() } }
    }
  }

  // MARK: The life cycle's calls

  public func prepare(backend: XenbusDirectory) async throws -> [String: String] {
    let plan = try device.plan(for: backend)
    let made = try platform.allocateUnboundChannels(plan.streamCount, for: backend.domain)
    let (device, platform, half) = (device, platform, half)
    let references = try await loop.run { () -> Result<[GrantReference], PlatformError> in
      do throws(PlatformError) {
        let arena = try platform.makeGrantArena(for: backend.domain, access: .readWrite, pageCount: plan.streamCount * plan.pageCount)
        return .success(half.value.prepare(plan, arena, made, device.layOut))
      } catch {
        return .failure(error)
      }
    }.get()
    for channel in made { channel.onPeerClosed { [notices] in notices.peerVanished() } }
    return device.keys(zip(references, made).map { PublishedByteStream(reference: $0, port: $1.port) })
  }

  public func connected(backend: XenbusDirectory) async throws {
    let (half, notices) = (half, notices)
    await loop.run { half.value.start { stream, fault in notices.peerViolation("the back-end broke stream \(stream): \(fault)") } }
    onConnected()
  }

  public func disconnect() async {
    let (loop, half) = (loop, half)
    let stillMapped = await withCheckedContinuation { (continuation: CheckedContinuation<Int, Never>) in
      loop.execute { half.value.disconnect { continuation.resume(returning: $0) } }
    }
    if stillMapped > 0 {
      logger.notice("the back-end had not let go of \(stillMapped) pages; they are given up with their arena")
    }
  }
}

/// What of a byte stream front-end lives on the loop.
final class ByteStreamFrontendHalf<Endpoint: ByteStreamEndpoint> {
  let endpoints: [Endpoint]
  /// Made and published, not in use yet.
  private var prepared: [ByteStreamConnection] = []

  init(_ endpoints: [Endpoint]) { self.endpoints = endpoints }

  /// Makes the streams of a plan. Returns the references of their first pages.
  func prepare(
    _ plan: ByteStreamPlan, _ arena: GrantArena, _ channels: [EventChannel], _ layOut: (GrantedStreamMemory) -> ByteStreamPair
  ) -> [GrantReference] {
    precondition(plan.streamCount <= endpoints.count, "more streams than there is something to use them")
    return channels.map { channel in
      let memory = GrantedStreamMemory(arena, pageCount: plan.pageCount)
      prepared.append(ByteStreamConnection(layOut(memory), channel: channel, memory: memory))
      return memory.references[0]
    }
  }

  func start(_ onFault: @escaping (_ stream: Int, any Error) -> Void) {
    for (index, connection) in prepared.enumerated() { endpoints[index].connect(connection) { onFault(index, $0) } }
    prepared = []
  }

  /// Takes everything back. `done` gets the number of pages that the back-end still has mapped.
  func disconnect(_ done: @escaping (Int) -> Void) {
    let unused = prepared.reduce(0) { $0 + $1.release() }
    prepared = []
    endpoints.disconnect { done(unused + $0) }
  }
}
