import Broker
import BrokerWire
import Glibc
import LinuxSystem
import ProcessPlatform
import SharedMemory
import SystemPackage
import Testing
import XenInterface
import XenPlatform

/// Clients that break the protocol: the broker survives, serves the others, and keeps nothing of theirs.
@Suite(.serialized) struct HostileClientTests {
  @Test func garbageEndsTheConnection() throws {
    try attack { _, path in
      var seed: UInt64 = 7
      for length in [1, 7, 8, 9, 16, 255, 4096] {
        let client = try RawClient(path, saysHello: length % 2 == 0)
        let bytes = (0..<length).map { _ -> UInt8 in
          seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          return UInt8(truncatingIfNeeded: seed >> 56)
        }
        try client.send(bytes)
        #expect(try client.receive() == nil)
      }
    }
  }

  @Test func aMessageThatIsTooLongEndsTheConnection() throws {
    try attack { _, path in
      let client = try RawClient(path)
      try client.send([UInt8](repeating: 1, count: BrokerProtocol.maximumMessageByteCount + 1))
      #expect(try client.receive() == nil)
    }
  }

  @Test func everyTruncationOfARequestEndsTheConnection() throws {
    try attack { _, path in
      let bytes = BrokerRequest.bindInterdomain(remote: .control, port: EventChannelPort(rawValue: 1)).encoded(requestID: 1)
      for length in 1..<bytes.count {
        let client = try RawClient(path)
        try client.send(Array(bytes.prefix(length)))
        #expect(try client.receive() == nil)
      }
    }
  }

  @Test func aClientMustSayHelloInTheRightVersionFirst() throws {
    try attack { _, path in
      let silent = try RawClient(path, saysHello: false)
      #expect(try silent.ask(.allocateUnbound(remote: .control)) == nil)
      let wrong = try RawClient(path, saysHello: false)
      #expect(try wrong.ask(.hello(version: BrokerProtocol.version + 1)) == nil)
    }
  }

  // In a process of its own, where nobody else opens descriptors.
  @Test func descriptorsWhereNoneBelongAreClosed() async {
    await #expect(processExitsWith: .success) { try sendDescriptorsWhereNoneBelong() }
  }

  @Test func filesThatAreNotSealedAreRefusedWithAReason() throws {
    try attack { _, path in
      let client = try RawClient(path)
      let (files, _) = try ArenaFiles.make(access: .readWrite, pageCount: 1)
      let loose = try MemoryFile.createUnsealed(name: "loose", byteCount: pageByteCount)
      let good = [files.data.rawValue, files.entries.rawValue, files.status.rawValue]
      for position in 0..<3 {
        var descriptors = good
        descriptors[position] = loose.rawValue
        let answer = try client.ask(.registerArena(peer: .control, readOnly: false, pageCount: 1), descriptors: descriptors)
        guard case .failed(.refused(_, let reason)) = answer else {
          Issue.record("\(String(describing: answer))")
          continue
        }
        #expect(reason.contains("sealed"))
      }
      for pageCount in [2, 257, 1 << 18] as [UInt32] {
        let answer = try client.ask(.registerArena(peer: .control, readOnly: false, pageCount: pageCount), descriptors: good)
        guard case .failed(.refused(_, let reason)) = answer else {
          Issue.record("\(String(describing: answer))")
          continue
        }
        #expect(reason.contains("4096 bytes instead of"))
      }
      #expect(try client.ask(.registerArena(peer: .control, readOnly: true, pageCount: 1), descriptors: good) != nil)
      #expect(try client.ask(.registerArena(peer: .control, readOnly: false, pageCount: 0), descriptors: good) != nil)
      guard case .arenaRegistered = try client.ask(.registerArena(peer: .control, readOnly: false, pageCount: 1), descriptors: good) else {
        Issue.record("a good arena was refused")
        return
      }
    }
  }

  @Test func aClientThatDoesNotReadIsDisconnectedWhenTooMuchWaitsForIt() throws {
    try attack(outgoingMessages: 50) { fixture, path in
      let deaf = try RawClient(path)
      guard case .channel(let port) = try deaf.ask(.allocateUnbound(remote: .control)) else { throw RawClient.Unexpected() }
      let control = try fixture.platform(for: .control)
      // Every binding and closing is two notifications that nobody reads.
      var rounds = 0
      while fixture.usage.connections == 2, rounds < 10_000 {
        rounds += 1
        _ = try? control.bindInterdomainChannel(remote: .front, port: port)
      }
      #expect(fixture.usage.connections == 1)
      fixture.kill(control)
    }
  }

  @Test func aClientThatAsksWithoutReadingIsNotReadFromEither() throws {
    try attack { fixture, path in
      let deaf = try RawClient(path)
      try deaf.socket.setNonBlocking(true)
      var sent = 0
      // The broker stops reading, then the kernel's buffer is full, and the client would have to wait.
      while sent < 100_000, (try? deaf.send(.allocateUnbound(remote: .control))) != nil { sent += 1 }
      #expect(sent < 100_000)
      let other = try fixture.platform(for: .control)
      #expect(try other.allocateUnboundChannel(for: .front).port.rawValue > 0)
      fixture.kill(other)
    }
  }

  @Test func thePortsAndArenasOfOthersCannotBeClosed() throws {
    try attack { fixture, path in
      let platform = try fixture.platform(for: .front)
      let channel = try platform.allocateUnboundChannel(for: .control)
      let arena = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
      let thief = try RawClient(path)
      #expect(try thief.ask(.closePort(channel.port)) == .failed(.noSuchPort(channel.port, of: .front)))
      guard case .failed = try thief.ask(.releaseArena(firstReference: arena.reference(ofPage: 0))) else { throw RawClient.Unexpected() }
      #expect(fixture.usage.arenas == 1 && fixture.usage.eventChannels == 1)
      fixture.kill(platform)
    }
  }

  @Test func onlyDomainZeroManagesDomains() throws {
    try attack { _, path in
      let client = try RawClient(path)
      let requests: [BrokerRequest] = [
        .createDomain(nil, name: "x"), .destroyDomain(.front), .listDomains(after: nil), .listConnections(after: 0),
        .listPorts(.front, after: EventChannelPort(rawValue: 0)),
      ]
      for request in requests { #expect(try client.ask(request) == .failed(.notPermitted(operation: "manage domains", domain: .front))) }
    }
  }

  @Test func tooManyConnectionsOfOneDomainAreRefusedAndHurtNobodyElse() throws {
    let limits = DomainLimits(arenas: 4, arenaPages: 4, eventChannels: 4, connections: 3)
    try attack(guestLimits: limits) { fixture, path in
      let clients = try (0..<3).map { _ in try RawClient(path) }
      #expect(throws: (any Error).self) { try RawClient(path) }
      let control = try fixture.platform(for: .control)
      #expect(try control.allocateUnboundChannel(for: .front).port.rawValue > 0)
      fixture.kill(control)
      #expect(clients.count == 3)
    }
  }

  @Test func aFullCounterThatBlocksWritersDoesNotStopTheBroker() throws {
    try attack { fixture, _ in
      let front = try fixture.platform(for: .front)
      let channel = try front.allocateUnboundChannel(for: .control)
      // Our signal counter is the binder's wait counter: full, and a plain write to it would block.
      var most = UInt64.max - 1
      #expect(unsafe write(channel.signalDescriptor.rawValue, &most, 8) == 8)
      try channel.signalDescriptor.setNonBlocking(false)
      let control = try fixture.platform(for: .control)
      let back = try control.bindInterdomainChannel(remote: .front, port: channel.port)
      #expect(hasEvent(back))
      #expect(try control.allocateUnboundChannel(for: .front).port.rawValue > 0)
      fixture.kill(front)
      fixture.kill(control)
    }
  }

  @Test func connectionsThatComeAndGoLeakNoDescriptors() async {
    await #expect(processExitsWith: .success) { try comeAndGo() }
  }
}

/// Runs `body` against a broker, then checks that an honest client is served and that no descriptor has leaked.
private func attack(
  guestLimits: DomainLimits = .guest, outgoingMessages: Int = 20_000, _ body: (ProcessFixture, String) throws -> Void
) throws {
  let fixture = try ProcessFixture(guestLimits: guestLimits, outgoingMessages: outgoingMessages)
  defer { fixture.tearDown() }
  try fixture.createDomain(.front)
  // Whatever is made once per process is made before counting.
  _ = try fixture.platform(for: .front).allocateUnboundChannel(for: .control)
  #expect(eventually { fixture.usage.connections == 0 })
  try body(fixture, fixture.socketPath(of: .front))
  let honest = try fixture.platform(for: .front)
  let channel = try honest.allocateUnboundChannel(for: .control)
  #expect(channel.port.rawValue > 0)
  fixture.kill(honest)
  #expect(eventually { fixture.usage.connections == 0 })
  #expect(fixture.leaks() == "")
}

private func sendDescriptorsWhereNoneBelong() throws {
  try attack { fixture, path in
    let before = openDescriptorCount()
    for count in [1, 2, 4, 8] {
      let client = try RawClient(path)
      let descriptor = client.socket.rawValue
      let request = count == 8 ? BrokerRequest.registerArena(peer: .control, readOnly: false, pageCount: 1) : .allocateUnbound(remote: .control)
      try client.send(request, descriptors: Array(repeating: descriptor, count: count))
      #expect(try client.receive() == nil)
    }
    #expect(eventually { fixture.usage.connections == 0 && openDescriptorCount() <= before })
  }
}

private func comeAndGo() throws {
  try attack { fixture, path in
    let before = openDescriptorCount()
    for _ in 0..<50 {
      let client = try RawClient(path)
      _ = try client.ask(.allocateUnbound(remote: .control))
      let (files, _) = try ArenaFiles.make(access: .readOnly, pageCount: 1)
      _ = try client.ask(
        .registerArena(peer: .control, readOnly: true, pageCount: 1),
        descriptors: [files.data.rawValue, files.entries.rawValue, files.status.rawValue])
      // Replies that are never received carry descriptors too.
      for _ in 0..<5 { try client.send(.allocateUnbound(remote: .control)) }
    }
    #expect(eventually { fixture.usage.connections == 0 && openDescriptorCount() <= before })
  }
}
