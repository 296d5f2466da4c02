import Broker
import BrokerWire
import Glibc
import LinuxSystem
import ProcessPlatform
import SystemPackage
import Testing
import XenInterface
import XenPlatform

@Suite(.serialized) struct ProcessPlatformTests {
  private func withBroker(_ body: (ProcessFixture, ProcessPlatform) throws -> Void) throws {
    let fixture = try ProcessFixture()
    defer { fixture.tearDown() }
    try body(fixture, try ProcessPlatform.connect(socketPath: fixture.socketPath(of: .control)))
  }

  @Test func theSocketDecidesWhichDomainAProcessActsFor() throws {
    try withBroker { fixture, control in
      #expect(control.domain == .control)
      let front = try fixture.platform(for: .front)
      #expect(front.domain == .front)
    }
  }

  @Test func onlyItsOwnerCanOpenADomainsSocket() throws {
    try withBroker { fixture, _ in
      try fixture.createDomain(.front)
      for (path, mode) in [
        (fixture.socketPath(of: .control), 0o600), (fixture.socketPath(of: .front), 0o600), ("\(fixture.runDirectory)/domains/1", 0o700),
      ] {
        var status = stat()
        #expect(unsafe stat(path, &status) == 0)
        #expect(Int(status.st_mode) & 0o777 == mode, "\(path)")
      }
    }
  }

  @Test func aDaemonThatIsNotThereIsASystemError() {
    #expect(throws: PlatformError.system(operation: "connect to the pvio daemon at /nonexistent/broker.sock", .noSuchFileOrDirectory)) {
      try ProcessPlatform.connect(socketPath: "/nonexistent/broker.sock")
    }
  }

  @Test func whenTheDaemonStopsCallsFailButWhatIsMappedAndBoundWorksOn() throws {
    let fixture = try ProcessFixture()
    let front = try fixture.platform(for: .front)
    let control = try ProcessPlatform.connect(socketPath: fixture.socketPath(of: .control))
    let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 2)
    let grants = try control.foreignGrants(of: .front)
    let page = try grants.map(arena.grant(page: 0), writable: true)
    let channel = try front.allocateUnboundChannel(for: .control)
    let back = try control.bindInterdomainChannel(remote: .front, port: channel.port)
    #expect(takesEvent(back))
    let losses = Counter()
    control.onDisconnect { losses.add() }
    fixture.tearDown()
    #expect(eventually { losses.value == 1 })
    control.onDisconnect { losses.add() }
    #expect(losses.value == 2)
    #expect(throws: PlatformError.disconnected) { try control.allocateUnboundChannel(for: .front) }
    #expect(throws: PlatformError.disconnected) { try control.makeGrantArena(for: .front, access: .readWrite, pageCount: 1) }
    grants.unmap(page)
    grants.unmap(try grants.map(arena.grant(page: 1), writable: true))
    EventDescriptor.signal(channel.signalDescriptor)
    #expect(takesEvent(back))
  }

  @Test func aBrokerThatIsStillRunningKeepsItsSocket() throws {
    try withBroker { fixture, _ in
      #expect(throws: Errno.addressInUse) { _ = try UnixSocket.listen(at: fixture.socketPath(of: .control), kind: .sequencedPacket) }
    }
  }

  @Test func whatAPlatformMadeKeepsItsConnection() throws {
    try withBroker { fixture, control in
      var platform: (any XenPlatform)? = try fixture.platform(for: .front)
      var channel = try platform?.allocateUnboundChannel(for: .control)
      platform = nil
      let port = try #require(channel?.port)
      let back = try control.bindInterdomainChannel(remote: .front, port: port)
      #expect(takesEvent(back))
      channel = nil
      #expect(eventually { fixture.usage.connections == 1 })
    }
  }

  @Test func domainsAreMadeListedAndDestroyed() throws {
    try withBroker { fixture, control in
      let administrator = control.administrator
      #expect(try administrator.createDomain(DomainID(rawValue: 5), name: "five") == DomainID(rawValue: 5))
      let assigned = try administrator.createDomain(name: "assigned")
      #expect(assigned == DomainID(rawValue: 6))
      for number in 0..<30 { _ = try administrator.createDomain(name: "many-\(number)") }
      let names = try administrator.domains().map(\.name)
      #expect(names.count == 33 && names.first == "Domain-0" && names.contains("many-29"))
      try administrator.destroyDomain(assigned)
      #expect(throws: PlatformError.noSuchDomain(assigned)) { try administrator.destroyDomain(assigned) }
      #expect(try administrator.createDomain(name: "next") != assigned)
      #expect(unsafe access("\(fixture.runDirectory)/domains/\(assigned)", F_OK) != 0)
    }
  }

  @Test func badDomainsAreRefused() throws {
    try withBroker { _, control in
      let administrator = control.administrator
      _ = try administrator.createDomain(.front, name: "front")
      for name in ["front", "a b", "a/b", "line\n", String(repeating: "x", count: 65)] {
        #expect(throws: PlatformError.self) { try administrator.createDomain(name: name) }
      }
      for number in [0, 1, 0x7FF0, 0xFFFF] as [UInt16] {
        #expect(throws: PlatformError.self) { try administrator.createDomain(DomainID(rawValue: number), name: "") }
      }
      #expect(throws: PlatformError.self) { try administrator.destroyDomain(.control) }
      #expect(try administrator.domains().count == 2)
    }
  }

  @Test func destroyingADomainDisconnectsItsProcesses() throws {
    try withBroker { fixture, control in
      let front = try fixture.platform(for: .front)
      let channel = try front.allocateUnboundChannel(for: .control)
      let back = try control.bindInterdomainChannel(remote: .front, port: channel.port)
      let closed = Counter()
      back.onPeerClosed { closed.add() }
      let losses = Counter()
      (front as? ProcessPlatform)?.onDisconnect { losses.add() }
      try control.administrator.destroyDomain(.front)
      #expect(eventually { closed.value == 1 && losses.value == 1 })
      #expect(throws: PlatformError.disconnected) { try front.allocateUnboundChannel(for: .control) }
    }
  }

  @Test func connectionsAndPortsAreListedWithTheirProcesses() throws {
    try withBroker { fixture, control in
      let front = try fixture.platform(for: .front)
      let channels = try (0..<20).map { _ in try front.allocateUnboundChannel(for: .control) }
      let back = try control.bindInterdomainChannel(remote: .front, port: channels[3].port)
      let connections = try control.administrator.connections()
      #expect(connections.map(\.domain) == [.control, .front])
      #expect(connections.allSatisfy { $0.processID == UInt32(getpid()) && $0.userID == getuid() })
      let ports = try control.administrator.ports(of: .front)
      #expect(ports.map(\.port) == channels.map(\.port))
      #expect(ports.map(\.remotePort) == (0..<20).map { $0 == 3 ? back.port : nil })
      #expect(ports.allSatisfy { $0.processID == UInt32(getpid()) && $0.remoteDomain == .control })
    }
  }
}
