import LinuxSystem
import Testing
import XenInterface
import XenPlatform

@Suite struct EventChannelTests {
  @Test(arguments: PlatformKind.allCases)
  func signalsArriveAtTheOtherEndAndCoalesce(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let front = try hypervisor.platform(for: .front).allocateUnboundChannel(for: .control)
      let back = try hypervisor.platform(for: .control).bindInterdomainChannel(remote: .front, port: front.port)
      #expect(front.remoteDomain == .control && back.remoteDomain == .front)
      #expect(takesEvent(back))
      EventDescriptor.signal(front.signalDescriptor)
      EventDescriptor.signal(front.signalDescriptor)
      #expect(takesEvent(back))
      #expect(!hasEvent(back) && !hasEvent(front))
      EventDescriptor.signal(back.signalDescriptor)
      #expect(takesEvent(front))
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func theBinderIsSignalledOnceAndTheOtherEndIsNot(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let front = try hypervisor.platform(for: .front).allocateUnboundChannel(for: .control)
      let back = try hypervisor.platform(for: .control).bindInterdomainChannel(remote: .front, port: front.port)
      #expect(takesEvent(back))
      #expect(!hasEvent(front))
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aSignalFromBeforeTheBindingIsNotLost(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let front = try hypervisor.platform(for: .front).allocateUnboundChannel(for: .control)
      EventDescriptor.signal(front.signalDescriptor)
      let back = try hypervisor.platform(for: .control).bindInterdomainChannel(remote: .front, port: front.port)
      #expect(takesEvent(back))
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func onlyTheDomainAPortIsMeantForCanBind(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let front = try hypervisor.platform(for: .front).allocateUnboundChannel(for: .control)
      let stranger = try hypervisor.platform(for: .other)
      #expect(throws: PlatformError.noSuchPort(front.port, of: .front)) {
        try stranger.bindInterdomainChannel(remote: .front, port: front.port)
      }
      let back = try hypervisor.platform(for: .control).bindInterdomainChannel(remote: .front, port: front.port)
      #expect(back.port.rawValue != 0)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aBoundPortCannotBeBoundAgainFromEitherSide(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let frontPlatform = try hypervisor.platform(for: .front)
      let backPlatform = try hypervisor.platform(for: .control)
      let front = try frontPlatform.allocateUnboundChannel(for: .control)
      let back = try backPlatform.bindInterdomainChannel(remote: .front, port: front.port)
      #expect(throws: PlatformError.noSuchPort(front.port, of: .front)) {
        try backPlatform.bindInterdomainChannel(remote: .front, port: front.port)
      }
      #expect(throws: PlatformError.noSuchPort(back.port, of: .control)) {
        try frontPlatform.bindInterdomainChannel(remote: .control, port: back.port)
      }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func portsAndDomainsThatDoNotExistAreRefused(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let platform = try hypervisor.platform(for: .front)
      _ = try hypervisor.platform(for: .other)
      let nobody = DomainID(rawValue: 77)
      #expect(throws: PlatformError.noSuchDomain(nobody)) { try platform.allocateUnboundChannel(for: nobody) }
      for number in [0, 1, .max] as [UInt32] {
        let port = EventChannelPort(rawValue: number)
        #expect(throws: PlatformError.noSuchDomain(nobody)) { try platform.bindInterdomainChannel(remote: nobody, port: port) }
        #expect(throws: PlatformError.noSuchPort(port, of: .other)) { try platform.bindInterdomainChannel(remote: .other, port: port) }
      }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func whenTheBinderClosesTheOtherEndIsToldAndCanBeBoundAgain(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let backPlatform = try hypervisor.platform(for: .control)
      let front = try hypervisor.platform(for: .front).allocateUnboundChannel(for: .control)
      let closings = Counter()
      front.onPeerClosed { closings.add() }
      for round in 1...3 {
        var back: EventChannel? = try backPlatform.bindInterdomainChannel(remote: .front, port: front.port)
        #expect(back.map { takesEvent($0) } == true)
        EventDescriptor.signal(front.signalDescriptor)
        #expect(back.map { takesEvent($0) } == true)
        back = nil
        #expect(eventually { closings.value == round })
      }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func whenTheOfferingEndClosesTheBinderIsTold(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      var front: EventChannel? = try hypervisor.platform(for: .front).allocateUnboundChannel(for: .control)
      let port = try #require(front?.port)
      let backPlatform = try hypervisor.platform(for: .control)
      let back = try backPlatform.bindInterdomainChannel(remote: .front, port: port)
      let isClosed = Counter()
      back.onPeerClosed { isClosed.add() }
      front = nil
      #expect(eventually { isClosed.value == 1 })
      #expect(throws: PlatformError.noSuchPort(port, of: .front)) { try backPlatform.bindInterdomainChannel(remote: .front, port: port) }
      // The other way round now: the end that is left is unbound, and the front's domain may bind to it.
      let again = try hypervisor.platform(for: .front).bindInterdomainChannel(remote: .control, port: back.port)
      EventDescriptor.drain(again.waitDescriptor)
      EventDescriptor.signal(back.signalDescriptor)
      #expect(takesEvent(again))
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aHandlerThatComesLateHearsOfTheClosingAtOnceUnlessSomebodyHasBoundAgain(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let backPlatform = try hypervisor.platform(for: .control)
      let front = try hypervisor.platform(for: .front).allocateUnboundChannel(for: .control)
      let closings = Counter()
      front.onPeerClosed { closings.add() }
      _ = try backPlatform.bindInterdomainChannel(remote: .front, port: front.port)
      #expect(eventually { closings.value == 1 })
      front.onPeerClosed { closings.add(10) }
      #expect(closings.value == 11)
      front.onPeerClosed(nil)
      let back = try backPlatform.bindInterdomainChannel(remote: .front, port: front.port)
      #expect(takesEvent(back))
      // The notification of the binding may still be on its way.
      #expect(
        eventually {
          let late = Counter()
          front.onPeerClosed { late.add() }
          front.onPeerClosed(nil)
          return late.value == 0
        })
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func theDeathOfAProcessClosesItsPortsAndItsSuccessorCanBind(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let frontPlatform = try hypervisor.platform(for: .front)
      let channels = try (0..<8).map { _ in try frontPlatform.allocateUnboundChannel(for: .control) }
      let backPlatform = try hypervisor.platform(for: .control)
      let bound = try channels.map { try backPlatform.bindInterdomainChannel(remote: .front, port: $0.port) }
      let closings = Counter()
      for channel in channels { channel.onPeerClosed { closings.add() } }
      hypervisor.kill(backPlatform)
      #expect(eventually { closings.value == 8 })
      #expect(throws: PlatformError.disconnected) { try backPlatform.allocateUnboundChannel(for: .front) }
      let successor = try hypervisor.platform(for: .control)
      let rebound = try channels.map { try successor.bindInterdomainChannel(remote: .front, port: $0.port) }
      for (front, back) in zip(channels, rebound) {
        #expect(takesEvent(back))
        EventDescriptor.signal(back.signalDescriptor)
        #expect(takesEvent(front))
      }
      #expect(bound.count == rebound.count)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func anotherProcessOfTheDomainKeepsItsPortsWhenOneDies(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let first = try hypervisor.platform(for: .control)
      let second = try hypervisor.platform(for: .control)
      let frontPlatform = try hypervisor.platform(for: .front)
      let channels = try (0..<2).map { _ in try frontPlatform.allocateUnboundChannel(for: .control) }
      let one = try first.bindInterdomainChannel(remote: .front, port: channels[0].port)
      let two = try second.bindInterdomainChannel(remote: .front, port: channels[1].port)
      #expect(takesEvent(two))
      let closed = Counter()
      channels[0].onPeerClosed { closed.add() }
      let wronglyClosed = Counter()
      channels[1].onPeerClosed { wronglyClosed.add() }
      hypervisor.kill(first)
      #expect(eventually { closed.value == 1 })
      #expect(wronglyClosed.value == 0)
      EventDescriptor.signal(channels[1].signalDescriptor)
      #expect(takesEvent(two))
      #expect(one.port != two.port)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aDestroyedDomainsSuccessorCannotBindToWhatWasOfferedToIt(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      _ = try hypervisor.platform(for: .other)
      let offered = try hypervisor.platform(for: .control).allocateUnboundChannel(for: .other)
      try hypervisor.destroy(.other)
      let successor = try hypervisor.platform(for: .other)
      #expect(throws: PlatformError.noSuchPort(offered.port, of: .control)) {
        try successor.bindInterdomainChannel(remote: .control, port: offered.port)
      }
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func theQuotaOfChannelsIsNamedAndClosingMakesRoom(kind: PlatformKind) throws {
    try kind.run(guestLimits: DomainLimits(arenas: 2, arenaPages: 10, eventChannels: 3, connections: 4)) { hypervisor in
      let platform = try hypervisor.platform(for: .front)
      let control = try hypervisor.platform(for: .control)
      let offered = try control.allocateUnboundChannel(for: .front)
      var channels = try (0..<3).map { _ in try platform.allocateUnboundChannel(for: .control) }
      let expected = PlatformError.quotaExceeded(quota: "event-channels", domain: .front, limit: 3)
      #expect(throws: expected) { try platform.allocateUnboundChannel(for: .control) }
      #expect(throws: expected) { try platform.bindInterdomainChannel(remote: .control, port: offered.port) }
      channels.removeLast()
      #expect(try platform.bindInterdomainChannel(remote: .control, port: offered.port).remoteDomain == .control)
    }
  }

  @Test(arguments: PlatformKind.allCases)
  func aDomainCanBindToItself(kind: PlatformKind) throws {
    try kind.run { hypervisor in
      let platform = try hypervisor.platform(for: .front)
      let one = try platform.allocateUnboundChannel(for: .front)
      let two = try platform.bindInterdomainChannel(remote: .front, port: one.port)
      #expect(takesEvent(two))
      EventDescriptor.signal(two.signalDescriptor)
      #expect(takesEvent(one))
    }
  }
}
