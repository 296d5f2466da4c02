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
  static var domain: DomainID { DomainID(rawValue: 7) }

  let arena: GrantArena
  let ring: FixedCell<FrontRing<Interface.Request, Interface.Response>>
  /// The ring's memory, with the indices: `req_prod` at 0.
  let memory: SharedBytes
  let channel: EventChannel
  let transport: RequestRingTransport
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
    transport = RequestRingTransport(
      version: Interface.versions.upperBound, entryByteCount: Interface.entryByteCount, ringReferences: [arena.grant(page: page)],
      port: channel.port)
  }

  /// What this front-end would have in the store.
  var directory: XenbusDirectory {
    XenbusDirectory(side: .frontend, path: "/frontend", domain: Self.domain, values: transport.keys)
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
