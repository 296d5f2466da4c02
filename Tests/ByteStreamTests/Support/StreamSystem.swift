import ConsoleInterface
import EventLoop
import Glibc
import LinuxSystem
import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform

/// A console's page between domain 7, which granted it, and domain 0, in one process, on one loop that is turned by hand.
final class StreamSystem {
  static let guest = DomainID(rawValue: 7)

  let hypervisor = SimulatedHypervisor(seed: 1)
  let loop: EventLoop
  let memory: GrantedStreamMemory
  let frontPlatform: SimulatedPlatform
  let backPlatform: SimulatedPlatform
  private let frontChannel: EventChannel
  private let backChannel: EventChannel

  init() throws {
    // As the command does: a socket whose other end is gone is an error of the write.
    signal(SIGPIPE, SIG_IGN)
    loop = try EventLoop(name: "test")
    frontPlatform = hypervisor.platform(for: Self.guest)
    backPlatform = hypervisor.platform(for: .control)
    let arena = try frontPlatform.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
    memory = GrantedStreamMemory(arena, pageCount: 1)
    frontChannel = try frontPlatform.allocateUnboundChannel(for: .control)
    backChannel = try backPlatform.bindInterdomainChannel(remote: Self.guest, port: frontChannel.port)
  }

  deinit { loop.shutDown() }

  /// What both ends see.
  var page: SharedBytes { memory.page }

  /// The guest's end, of a new page.
  func front() -> ByteStreamConnection {
    ByteStreamConnection(ConsolePage(memory.page).initializedFront(), channel: frontChannel, memory: memory)
  }

  /// The console's end, mapped.
  func back() throws -> ByteStreamConnection {
    let mapped = MappedStreamMemory()
    let page = try mapped.map(memory.references, try backPlatform.foreignGrants(of: Self.guest), stream: 0)
    return ByteStreamConnection(ConsolePage(page).back, channel: backChannel, memory: mapped)
  }

  /// Turns the loop until `condition` holds. A condition that never holds fails the test.
  func turn(_ what: String, until condition: () throws -> Bool) throws {
    let deadline = MonotonicClock.nowNanoseconds + 20_000_000_000
    while try !condition() {
      loop.turn(maySleep: false)
      guard MonotonicClock.nowNanoseconds < deadline else { throw Timeout(what: what) }
    }
  }

  /// Turns the loop until nothing moves any more.
  func settle() { for _ in 0..<200 { loop.turn(maySleep: false) } }

  func disconnect(_ endpoint: ByteStreamEndpoint) throws -> Int {
    var result: Int?
    endpoint.disconnect { result = $0 }
    try turn("the stream ends") { result != nil }
    return result ?? -1
  }

  func close(_ endpoint: ByteStreamEndpoint) throws {
    var isClosed = false
    endpoint.close { isClosed = true }
    try turn("the endpoint closes") { isClosed }
  }
}

struct Timeout: Error { var what: String }

/// A connected pair of sockets: one end for a pump, the other one for the test.
final class Line {
  let pumpEnd: SharedDescriptor
  private(set) var testEnd: SharedDescriptor?

  init() throws {
    let pair = try UnixSocket.pair(.stream)
    try pair.second.setNonBlocking(true)
    pumpEnd = SharedDescriptor(try pair.first.duplicate())
    testEnd = SharedDescriptor(try pair.second.duplicate())
  }

  /// Sends as much as the socket takes; returns how many bytes.
  func send(_ bytes: [UInt8], from offset: Int = 0) -> Int {
    guard let testEnd else { return 0 }
    return (try? UnixSocket.send(bytes, from: offset, on: testEnd.descriptor)) ?? 0
  }

  /// What has arrived, at most 64 KiB.
  func receive() -> [UInt8] {
    guard let testEnd else { return [] }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = (try? UnixSocket.receive(into: &buffer, on: testEnd.descriptor)) ?? 0
    return Array(buffer[..<count])
  }

  func hangUp() { testEnd = nil }
}

/// What a pump told its owner.
final class Endings {
  var all: [ByteStreamPump.Ending] = []
}
