import Testing
import XenInterface
@testable import XenStoreCore
import XenStoreWire

/// A guest that watches and does not read, in virtual time.
@Suite struct EventTimeLimitTests {
  private static let second: UInt64 = 1_000_000_000
  private static let guest = DomainID(rawValue: 5)
  private let core = XenStoreCore()
  private let writer: XenStoreConnectionID
  private let reader: XenStoreConnectionID

  init() {
    core.advance(to: Self.second)
    writer = core.connect(domain: .control, privileged: true)
    reader = core.connect(domain: Self.guest, privileged: false)
    write("/area")
    core.handle(XenStorePacket(.setPermissions, strings: ["/area", "n0", "r5"]), from: writer)
    watch("/area", reader)
  }

  private func write(_ path: String) {
    core.handle(XenStorePacket(.write, payload: Array(path.utf8) + [0]), from: writer)
    while core.nextOutput(for: writer) != nil {}
  }

  /// Takes the reply and the first event, so that nothing waits.
  private func watch(_ path: String, _ id: XenStoreConnectionID) {
    core.handle(XenStorePacket(.watch, strings: [path, "t"]), from: id)
    while core.nextOutput(for: id) != nil {}
  }

  private func advance(to seconds: UInt64) { core.advance(to: seconds * Self.second) }

  /// The paths of the events that wait, and the types of everything else.
  private func output(_ id: XenStoreConnectionID) -> [String] {
    var texts: [String] = []
    var parser = XenStorePacketParser()
    while let bytes = core.nextOutput(for: id) {
      parser.feed(bytes)
      guard case .packet(let packet) = parser.next() else { continue }
      let isEvent = packet.type == .watchEvent
      texts.append(isEvent ? String(decoding: packet.payload.prefix { $0 != 0 }, as: UTF8.self) : "\(packet.type.map { "\($0)" } ?? "?")")
    }
    return texts
  }

  @Test func anEventIsDroppedAfterTwentySecondsAndALaterOneWhenItsOwnAreOver() {
    write("/area/a")
    #expect(core.nextDeadline == 21 * Self.second)
    advance(to: 11)
    write("/area/b")
    advance(to: 20)
    #expect(core.connections[reader]?.output.packets.count == 2)
    advance(to: 21)
    #expect(core.connections[reader]?.output.packets.count == 1)
    #expect(core.nextDeadline == 31 * Self.second)
    #expect(output(reader) == ["/area/b"])
    advance(to: 60)
    #expect(core.nextDeadline == nil)
    #expect(core.refusals.map(\.line) == ["watch-event-msec 5 20000 20000 1"])
  }

  @Test func whoReadsInTimeLosesNothing() {
    for round in 1...10 as ClosedRange<UInt64> {
      write("/area/a\(round)")
      advance(to: round * 19)
      #expect(output(reader) == ["/area/a\(round)"])
    }
    advance(to: 1000)
    #expect(core.refusals.isEmpty)
  }

  @Test func repliesAndTheConnectionStayAndEventsComeAgain() {
    write("/area/a")
    core.receive(XenStorePacket(.read, requestID: 3, strings: ["/area"]).encoded, from: reader)
    write("/area/b")
    advance(to: 30)
    #expect(core.fault(of: reader) == nil)
    write("/area/a")
    #expect(output(reader) == ["read", "/area/a"])
    #expect(core.usage[Self.guest]?.queuedByteCount == 0)
    #expect(core.checkConsistency().isEmpty)
  }

  @Test func aRefusalIsToldOnceAndCanBeReadBack() {
    var told: [String] = []
    core.onRefusal = { told.append("\($0)") }
    for name in ["a", "b", "c"] { write("/area/\(name)") }
    advance(to: 25)
    #expect(told == ["quota watch-event-msec of domain 5: events dropped that were not read for 24000 ms, 20000 allowed (once)"])
    core.handle(XenStorePacket(.control, strings: ["quota", "refusals"]), from: writer)
    let reply = core.nextOutput(for: writer).map { String(decoding: $0.dropFirst(16), as: UTF8.self) }
    #expect(reply == "watch-event-msec 5 20000 24000 1\n\0")
  }

  @Test func theControlDomainMayTakeItsTime() {
    let patient = core.connect(domain: .control, privileged: true)
    watch("/area", patient)
    write("/area/a")
    advance(to: 100_000)
    #expect(output(patient) == ["/area/a"])
  }

  @Test func aDomainsOwnLimitCountsFromNowOnForWhatWaitsAlready() {
    write("/area/a")
    advance(to: 4)
    core.setQuota(.watchEvent, of: Self.guest, to: 2000)
    advance(to: 5)
    #expect(output(reader) == [])
    core.setQuota(.watchEvent, of: Self.guest, to: 0)
    write("/area/b")
    advance(to: 100_000)
    #expect(output(reader) == ["/area/b"])
  }

  @Test func whatWaitsForTheDiskIsDroppedWithItsPlaceInLine() {
    core.keepCommits { _ in }
    write("/area/a")
    core.receive(XenStorePacket(.read, requestID: 3, strings: ["/area"]).encoded, from: reader)
    write("/area/b")
    let before = core.lastCommitSequence
    advance(to: 30)
    write("/area/c")
    #expect(core.nextOutput(for: reader) == nil)
    core.commitsAreDurable(upTo: before)
    #expect(output(reader) == ["read"])
    core.commitsAreDurable(upTo: core.lastCommitSequence)
    #expect(output(reader) == ["/area/c"])
  }

  @Test func theClocksFirstMomentIsNotTakenForTheAgeOfWhatWaitsAlready() {
    let core = XenStoreCore()
    let control = core.connect(domain: .control, privileged: true)
    let guest = core.connect(domain: Self.guest, privileged: false)
    core.handle(XenStorePacket(.setPermissions, strings: ["/", "n0", "r5"]), from: control)
    core.handle(XenStorePacket(.watch, strings: ["/", "t"]), from: guest)
    core.advance(to: 500 * Self.second)
    #expect(core.connections[guest]?.output.packets.count == 2)
    core.advance(to: 520 * Self.second)
    #expect(core.connections[guest]?.output.packets.count == 1)
  }
}
