public import EventLoop
public import SharedMemory
import SharedRing
public import XenInterface
public import XenPlatform
public import Xenbus

/// The store half of a back-end whose device is byte streams: offers, maps what a front-end publishes, gives it back.
///
/// ```swift
/// let driver = await ByteStreamBackendDriver(ConsoleBackendDevice(…), loop: thread.loop, platform: platform, notices: notices) { stream in pump }
/// let report = await BackendSupervisor(paths: paths, store: store, notices: notices).run(driver)
/// ```
/// Its endpoints live on `loop`, which must run until they have been closed.
public final class ByteStreamBackendDriver<Device: ByteStreamBackendDevice, Endpoint: ByteStreamEndpoint>: BackendDriver {
  private let device: Device
  private let endpoints: LoopConfined<[Endpoint]>
  private let platform: any XenPlatform
  private let notices: XenbusNotices

  /// - Parameters:
  ///   - notices: the same that the life cycle gets.
  ///   - endpoint: makes what uses a stream, once for each stream that the device offers. Called on the loop.
  public init(
    _ device: Device, loop: EventLoop, platform: any XenPlatform, notices: XenbusNotices,
    endpoint: @escaping @Sendable (_ stream: Int) throws -> Endpoint
  ) async throws {
    self.device = device
    self.platform = platform
    self.notices = notices
    let count = device.streamCount
    endpoints = try await loop.run { () -> Result<LoopConfined<[Endpoint]>, any Error> in
      Result { LoopConfined(try (0..<count).map(endpoint), on: loop) }
    }.get()
  }

  /// Runs `body` with the endpoints on their loop.
  public func withEndpoints<Result: Sendable>(_ body: @escaping @Sendable ([Endpoint]) -> Result) async -> Result {
    await endpoints.loop.run { [endpoints] in body(endpoints.value) }
  }

  /// What all streams have moved. From any task.
  public func counters() async -> ByteStreamCounters { await withEndpoints { $0.total } }

  /// Ends the endpoints for good. After the life cycle has ended.
  public func close() async {
    await disconnect()
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      endpoints.loop.execute { [endpoints] in endpoints.value.close { continuation.resume() } }
    }
  }

  // MARK: The life cycle's calls

  public func advertise() async throws -> [String: String] { device.advertisement }

  public func connect(frontend: XenbusDirectory) async throws -> [String: String] {
    let streams = try device.streams(of: frontend)
    precondition(streams.count <= device.streamCount, "more streams than were offered")
    let channels = try ByteStreamConnectError.bind(streams.map(\.port), of: frontend.domain, platform)
    let (device, endpoints, platform, notices) = (device, endpoints, platform, notices)
    try await endpoints.loop.run { () -> Result<Void, ByteStreamConnectError> in
      do throws(ByteStreamConnectError) {
        let grants = try ByteStreamConnectError.grants(of: frontend.domain, platform)
        for (index, stream) in streams.enumerated() {
          let endpoint = endpoints.value[index]
          guard !endpoint.isConnected else { throw .alreadyConnected }
          let connection = try ByteStreamConnection.mapped(stream, index, channel: channels[index], device: device, grants: grants)
          endpoint.connect(connection) { notices.peerViolation("the front-end broke stream \(index): \($0)") }
        }
        return .success(())
      } catch {
        return .failure(error)
      }
    }.get()
    for channel in channels { channel.onPeerClosed { notices.peerVanished() } }
    return [:]
  }

  public func disconnect() async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      endpoints.loop.execute { [endpoints] in endpoints.value.disconnect { _ in continuation.resume() } }
    }
  }
}

extension ByteStreamConnection {
  /// Maps a stream that a front-end has published.
  fileprivate static func mapped(
    _ stream: PublishedByteStream, _ index: Int, channel: EventChannel, device: some ByteStreamBackendDevice, grants: ForeignGrants
  ) throws(ByteStreamConnectError) -> ByteStreamConnection {
    let memory = MappedStreamMemory()
    let page = try memory.map([stream.reference], grants, stream: index)
    let pair = try device.attach(page: page, memory: memory, grants: grants, stream: index)
    return ByteStreamConnection(pair, channel: channel, memory: memory)
  }
}

extension MappedStreamMemory {
  /// Maps pages side by side, and keeps them until the stream is given back.
  /// - Parameter notice: what the peer is told when they go.
  public func map(
    _ references: [GrantReference], _ grants: ForeignGrants, stream: Int, notice: UnmapNotice? = nil
  ) throws(ByteStreamConnectError) -> SharedBytes {
    do throws(GrantError) {
      guard let notice else { return keep(try grants.mapContiguously(references)) }
      return keep(try grants.mapContiguously(references, notice: notice))
    } catch {
      throw .pageNotMapped(stream: stream, error)
    }
  }
}

extension Array where Element: ByteStreamEndpoint {
  /// What all of them have moved. Loop thread only.
  public var total: ByteStreamCounters { reduce(into: ByteStreamCounters()) { $0.add($1.total) } }

  /// Ends all of them for good, one after the other. Loop thread only.
  public func close(_ done: @escaping () -> Void) {
    guard let first else { return done() }
    first.close { [Element](dropFirst()).close(done) }
  }

  /// Ends the connections of all. `done` gets the number of pages that the peer still has mapped. Loop thread only.
  public func disconnect(_ done: @escaping (_ stillMapped: Int) -> Void) {
    guard let first else { return done(0) }
    first.disconnect { count in [Element](dropFirst()).disconnect { done(count + $0) } }
  }
}
