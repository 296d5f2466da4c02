import Glibc
import LinuxSystem
import ProcessPlatform
import SharedMemory
import Testing
import XenInterface
import XenPlatform

/// The other end is another process, which dies without a word.
@Suite struct SeparateProcessTests {
  @Test func aPeerInAnotherProcessIsSeenToWorkAndToDie() async throws {
    let fixture = try ProcessFixture()
    defer { fixture.tearDown() }
    let front = try fixture.platform(for: .front)
    let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 4)
    let channel = try front.allocateUnboundChannel(for: .control)
    let closings = Counter()
    channel.onPeerClosed { closings.add() }
    for page in 0..<4 { arena.grant(page: page) }
    let (path, first, port) = (fixture.socketPath(of: .control), arena.reference(ofPage: 0).rawValue, channel.port.rawValue)

    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, first = first as UInt32, port = port as UInt32] in
      let platform = try ProcessPlatform.connect(socketPath: path)
      let back = try platform.bindInterdomainChannel(remote: .front, port: EventChannelPort(rawValue: port))
      let grants = try platform.foreignGrants(of: .front)
      let given = try grants.map(GrantReference(rawValue: first), writable: true)
      grants.bytes(of: given).store64(0x1234_5678, at: 0)
      grants.unmap(given)
      let kept = try grants.map(GrantReference(rawValue: first + 3), writable: true)
      grants.bytes(of: kept).store32(UInt32(getpid()), at: 0)
      EventDescriptor.signal(back.signalDescriptor)
      kill(getpid(), SIGKILL)
    }
    #expect(takesEvent(channel))
    #expect(arena.bytes.load64(at: 0) == 0x1234_5678)
    let peer = arena.bytes.load32(at: 3 * pageByteCount)
    #expect(peer != 0 && peer != UInt32(getpid()))
    #expect(eventually { closings.value == 1 })
    // What it gave back is free; what it died with is not used again, since a child of its own may still have it mapped.
    #expect(arena.endAccess(page: 0))
    #expect(!arena.endAccess(page: 3))
    // Its successor finds the channel unbound.
    let successor = try fixture.platform(for: .control)
    #expect(takesEvent(try successor.bindInterdomainChannel(remote: .front, port: channel.port)))
    fixture.kill(front)
    fixture.kill(successor)
    #expect(eventually { fixture.leaks() == "" })
  }
}
