import EventLoop
import Foundation
import Glibc
import LinuxSystem
import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import Testing
import Vchan
import XenInterface
import XenPlatform
import XenStoreClient
import XenStoreWire

/// Two domains with a store, each with a loop of its own.
private final class TwoDomains: Sendable {
  static let guest = DomainID(rawValue: 7)
  let hypervisor = SimulatedHypervisor()
  let near: SimulatedPlatform
  let far: SimulatedPlatform
  let nearStore: XenStoreClient
  let farStore: XenStoreClient
  let nearThread: EventLoopThread
  let farThread: EventLoopThread
  let path = "/local/domain/7/data/pipe"

  init() async throws {
    near = hypervisor.platform(for: .control)
    nearStore = near.connectToStore()
    try await nearStore.introduce(Self.guest)
    try await nearStore.write("/local/domain/7/data", "")
    try await nearStore.setPermissions("/local/domain/7/data", [.init(Self.guest, .none)])
    far = hypervisor.platform(for: Self.guest)
    farStore = far.connectToStore()
    nearThread = try EventLoopThread.start(name: "near")
    farThread = try EventLoopThread.start(name: "far")
  }

  func listen(_ streams: VchanStreams, orders: VchanOrders = VchanOrders(left: 10, right: 11)) async throws -> Vchan {
    try await Vchan.listen(path, client: .control, orders: orders, platform: far, store: farStore, loop: farThread.loop, streams: streams)
  }

  func connect(_ streams: VchanStreams) async throws -> Vchan {
    try await Vchan.connect(path, server: Self.guest, platform: near, store: nearStore, loop: nearThread.loop, streams: streams)
  }

  func finish() {
    nearThread.stopAndJoin()
    farThread.stopAndJoin()
    #expect(hypervisor.ledger[Self.guest] == ResourceLedger.Account())
    #expect(hypervisor.ledger[.control] == ResourceLedger.Account())
  }
}

/// A file that a pipe's end reads or writes.
private struct Scratch {
  let path = "/tmp/pvio-vchan-\(UUID().uuidString.prefix(8))"

  func reading(_ bytes: [UInt8]) throws -> SharedDescriptor {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return SharedDescriptor(try OwnedDescriptor.open(path, flags: O_RDONLY))
  }

  func writing() throws -> SharedDescriptor { SharedDescriptor(try OwnedDescriptor.open(path, flags: O_WRONLY | O_CREAT | O_TRUNC)) }
  var content: [UInt8] { (try? [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))) ?? [] }
  func remove() { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct VchanTests {
  @Test(arguments: [VchanOrders(left: 10, right: 11), VchanOrders(left: 12, right: 12), VchanOrders(left: 11, right: 16)])
  func aFileThatTheClientSendsArrivesWholeAndBothEndsEnd(orders: VchanOrders) async throws {
    let domains = try await TwoDomains()
    let (source, target) = (Scratch(), Scratch())
    defer {
      source.remove()
      target.remove()
    }
    let bytes = (0..<700_001).map { UInt8(truncatingIfNeeded: $0 / 3) }
    let server = try await domains.listen(VchanStreams(input: nil, output: try target.writing()), orders: orders)
    let client = try await domains.connect(VchanStreams(input: try source.reading(bytes), output: nil))
    #expect(await client.ending() == .sent)
    await client.leave()
    #expect(await server.ending() == .peerLeft)
    #expect(await server.counters().takenByteCount == 700_001)
    await server.leave()
    #expect(target.content == bytes)
    #expect(try await domains.nearStore.readIfPresent(domains.path) == nil, "the server takes its keys away")
    domains.finish()
  }

  @Test func whatTheServerWroteBeforeItLeftCanStillBeRead() async throws {
    let domains = try await TwoDomains()
    let (source, target) = (Scratch(), Scratch())
    defer {
      source.remove()
      target.remove()
    }
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 5) }
    let server = try await domains.listen(VchanStreams(input: try source.reading(bytes), output: nil))
    let client = try await domains.connect(VchanStreams(input: nil, output: try target.writing()))
    #expect(await server.ending() == .sent)
    await server.leave()
    #expect(await client.ending() == .peerLeft)
    await client.leave()
    #expect(target.content == bytes)
    domains.finish()
  }

  @Test func keysAreReadableForTheClientAlone() async throws {
    let domains = try await TwoDomains()
    let server = try await domains.listen(VchanStreams(input: nil, output: nil))
    for key in ["ring-ref", "event-channel"] {
      #expect(try await domains.nearStore.permissions("\(domains.path)/\(key)").map(\.description) == ["n7", "r0"])
    }
    await server.leave()
    domains.finish()
  }

  @Test func aClientWhoseProcessDiesIsNoticed() async throws {
    let domains = try await TwoDomains()
    let server = try await domains.listen(VchanStreams(input: nil, output: nil))
    let client = try await domains.connect(VchanStreams(input: nil, output: nil))
    domains.hypervisor.kill(domains.near)
    #expect(await server.ending() == .peerLeft)
    await server.leave()
    await client.leave()
    domains.nearThread.stopAndJoin()
    domains.farThread.stopAndJoin()
  }

  @Test func aServerWhosePageLiesIsRefused() async throws {
    let domains = try await TwoDomains()
    let arena = try domains.far.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
    let reference = arena.grant(page: 0)
    let channel = try domains.far.allocateUnboundChannel(for: .control)
    arena.bytes.store16(10, at: VchanInterfaceLayout.leftOrderOffset)
    arena.bytes.store16(10, at: VchanInterfaceLayout.rightOrderOffset)
    try await domains.farStore.write("\(domains.path)/event-channel", "\(channel.port)")
    try await domains.farStore.write("\(domains.path)/ring-ref", "\(reference)")
    await #expect(throws: VchanError.impossibleOrders(domains.path)) { _ = try await domains.connect(VchanStreams(input: nil, output: nil)) }
    // Orders that exist, and pages that were not granted.
    arena.bytes.store16(14, at: VchanInterfaceLayout.leftOrderOffset)
    await #expect(throws: (any Error).self) { _ = try await domains.connect(VchanStreams(input: nil, output: nil)) }
    #expect(domains.hypervisor.ledger[.control].mappedPages == 0)
    try await domains.farStore.write("\(domains.path)/ring-ref", "0")
    await #expect(throws: VchanError.badKey("\(domains.path)/ring-ref", "0")) { _ = try await domains.connect(VchanStreams(input: nil, output: nil)) }
  }

  @Test func aClientThatMovesItsIndexTooFarIsLeft() async throws {
    let domains = try await TwoDomains()
    let server = try await domains.listen(VchanStreams(input: nil, output: nil))
    let client = try await domains.connect(VchanStreams(input: nil, output: nil))
    let reference = GrantReference(rawValue: try #require(UInt32(try await domains.nearStore.read("\(domains.path)/ring-ref"))))
    try domains.near.foreignGrants(of: TwoDomains.guest).mapContiguously([reference]).bytes.store32(
      1025, at: VchanInterfaceLayout.leftProducerOffset)
    // The end of the client's process is what makes the server look.
    await client.leave()
    #expect(await server.ending() == .broken("\(ByteStreamFault(producer: 1025, consumer: 0, byteCount: 1024))"))
    await server.leave()
    domains.finish()
  }
}
