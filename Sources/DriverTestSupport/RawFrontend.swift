import LinuxSystem
import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import XenInterface
import XenPlatform
import Xenbus

/// The front's end of a ring without any of a front-end's care: whatever a test puts goes out.
final class RawFrontend<Interface: RequestRingInterface> {
  let arena: GrantArena
  let ring: FixedCell<FrontRing<Interface.Request, Interface.Response>>
  /// The ring's memory, with the indices: `req_prod` at 0.
  let memory: SharedBytes
  let channel: EventChannel
  let transport: DriverTransport
  /// Pages that requests can name: all writable, and the last one granted read-only.
  let references: [GrantReference]

  init(_ platform: SimulatedPlatform, startingAt index: RingIndex, dataPageCount: Int = 16) throws {
    arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 1 + dataPageCount)
    guard let page = arena.allocatePage() else { preconditionFailure("an arena of no pages") }
    memory = arena.bytes.slice(at: page * pageByteCount, byteCount: pageByteCount)
    ring = FixedCell(FrontRing(initializing: memory, entryByteCount: Interface.entryByteCount, startingAt: index))
    channel = try platform.allocateUnboundChannel(for: .control)
    let arena = arena
    references = (0..<dataPageCount).map { number in
      guard let page = arena.allocatePage() else { preconditionFailure("an arena of too few pages") }
      return arena.grant(page: page, readOnly: number == dataPageCount - 1)
    }
    transport = DriverTransport(
      version: Interface.versions.upperBound, entryByteCount: Interface.entryByteCount, ringReferences: [arena.grant(page: page)],
      port: channel.port)
  }

  /// A request with data in its first pages, where the driver's requests have data.
  func request(_ identifier: UInt64) -> Interface.Request {
    var request = Interface.Request()
    request.identifier = identifier
    for index in 0..<Interface.Request.dataPageCapacity { request.setDataReference(references[index % (references.count - 1)], at: index) }
    request.dataLength = UInt32(min(64, Interface.maximumDataByteCount))
    return request
  }

  func publish() {
    if ring.value.publishRequests() { signal() }
  }

  func signal() { EventDescriptor.signal(channel.signalDescriptor) }

  /// Whether the back-end has let go of every page.
  func everythingIsUnmapped() -> Bool {
    (0..<arena.pageCount).allSatisfy { arena.endAccess(page: $0) }
  }
}

extension BackendUnderTest {
  /// A new front-end with a ring, connected.
  func connect<Engine: RequestRingEngine>(
    startingAt index: RingIndex
  ) async throws -> RawFrontend<Engine.Interface> where Driver == RequestRingBackendDriver<Engine> {
    let front = try RawFrontend<Engine.Interface>(frontPlatform, startingAt: index)
    try await connect(front.transport.keys)
    return front
  }
}

/// Pages of a front-end side by side, and a channel: for devices without a ring of requests.
final class RawPages {
  let arena: GrantArena
  let memory: SharedBytes
  let references: [GrantReference]
  let channel: EventChannel

  init(_ platform: SimulatedPlatform, count: Int) throws {
    arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: count)
    guard let first = arena.allocatePages(contiguous: count) else { preconditionFailure("an arena of too few pages") }
    let arena = arena
    memory = arena.bytes.slice(at: first * pageByteCount, byteCount: count * pageByteCount)
    references = (first..<first + count).map { arena.grant(page: $0) }
    channel = try platform.allocateUnboundChannel(for: .control)
  }

  /// What a front-end of the framework would have in the store, with its first page.
  func keys<Interface: DriverInterface>(_ interface: Interface.Type) -> [String: String] {
    DriverTransport(
      version: Interface.versions.upperBound, entryByteCount: Interface.entryByteCount, ringReferences: [references[0]], port: channel.port
    ).keys
  }

  func signal() { EventDescriptor.signal(channel.signalDescriptor) }

  /// Whether the back-end has let go of every page.
  func everythingIsUnmapped() -> Bool { (0..<arena.pageCount).allSatisfy { arena.endAccess(page: $0) } }
}
