public import EventLoop
public import XenInterface
import XenPlatform
public import BlockFront

/// A front-end and a ``MemoryBackend`` on one loop, connected without a store.
public final class DevicePair: Sendable {
  public let hypervisor = LocalHypervisor()
  public let thread: EventLoopThread
  public let frontend: BlockFrontend
  public let frontDomain = DomainID(rawValue: 7)
  public let backDomain = DomainID.control

  public init(configuration: BlockFrontConfiguration = BlockFrontConfiguration()) throws {
    thread = try EventLoopThread.start(name: "device")
    frontend = BlockFrontend(on: thread.loop, configuration: configuration)
  }

  /// Connects a back-end. Returns it once the front-end uses it.
  public func connect(
    _ geometry: BlockFrontGeometry, shape: BlockFrontConnection.Shape, misbehaviour: MemoryBackend.Misbehaviour = .none,
    contents: [UInt8]? = nil
  ) async throws -> LoopConfined<MemoryBackend> {
    let front = hypervisor.platform(of: frontDomain)
    let back = hypervisor.platform(of: backDomain)
    let (loop, frontend, backDomain, frontDomain) = (thread.loop, frontend, backDomain, frontDomain)
    let result: Result<LoopConfined<MemoryBackend>, any Error> = await loop.run {
      Result {
        let channels = try (0..<shape.queueCount).map { _ in try front.allocateUnboundChannel(for: backDomain) }
        let arena = try front.makeGrantArena(for: backDomain, access: .readWrite, pageCount: shape.pageCount)
        let connection = BlockFrontConnection(shape: shape, arena: arena, channels: channels, startingAt: .max &- 3)
        let backend = MemoryBackend(
          byteCount: Int(geometry.byteCount), grants: try back.foreignGrants(of: frontDomain), isPersistent: shape.isPersistent,
          misbehaviour: misbehaviour)
        if let contents { backend.bytes = contents }
        loop.attach(backend)
        for (queue, channel) in zip(connection.queues, channels) {
          try backend.serve(
            ring: queue.ringReferences, channel: try back.bindInterdomainChannel(remote: frontDomain, port: channel.port))
        }
        for channel in channels {
          channel.onPeerClosed { loop.execute { frontend.plane.value.backendVanished("its process ended") } }
        }
        let plane = frontend.plane.value
        plane.prepare(connection)
        plane.start(geometry)
        return LoopConfined(backend, on: loop)
      }
    }
    return try result.get()
  }

  /// Ends the back-end as if its process had ended.
  public func kill(_ backend: LoopConfined<MemoryBackend>) async {
    await withCheckedContinuation { continuation in
      thread.loop.execute { backend.value.stop { continuation.resume() } }
    }
  }

  /// What the store half does when the back-end is gone. Returns how many pages were still mapped.
  public func disconnect() async -> Int {
    await withCheckedContinuation { continuation in
      thread.loop.execute { [frontend] in frontend.plane.value.disconnect { continuation.resume(returning: $0) } }
    }
  }

  /// Closes the front-end and ends the loop.
  public func close() async {
    await frontend.close()
    thread.stopAndJoin()
  }
}
