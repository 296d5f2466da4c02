import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform
import XenStoreClient

@Suite struct SimulatedPlatformTests {
  @Test func theLedgerNamesWhatIsHeldAndByWhom() throws {
    let hypervisor = SimulatedHypervisor()
    let front = hypervisor.platform(for: .front)
    let back = hypervisor.platform(for: .control)
    #expect(hypervisor.ledger.leaks == "")
    do {
      let arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: 3)
      let channel = try front.allocateUnboundChannel(for: .control)
      let grants = try back.foreignGrants(of: .front)
      let page = try grants.map(arena.grant(page: 0), writable: true)
      #expect(hypervisor.ledger[.front].arenas == 1 && hypervisor.ledger[.front].arenaPages == 3)
      #expect(hypervisor.ledger[.front].eventChannels == 1 && hypervisor.ledger[.control].mappedPages == 1)
      #expect(hypervisor.ledger.leaks.contains("domain 1 holds 1 arenas (3 pages), 1 event channels"))
      #expect(channel.port.rawValue > 0)
      grants.unmap(page)
    }
    #expect(hypervisor.ledger.leaks == "")
  }

  @Test func aMapperThatGoesAwayWithPagesMappedStaysInTheLedger() throws {
    let hypervisor = SimulatedHypervisor()
    let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
    _ = try hypervisor.platform(for: .control).foreignGrants(of: .front).map(arena.grant(page: 0), writable: true)
    #expect(hypervisor.ledger[.control].mappedPages == 1)
  }

  @Test func theFaultPlanFailsExactlyTheCallItNames() throws {
    let hypervisor = SimulatedHypervisor()
    let platform = hypervisor.platform(for: .front)
    let error = PlatformError.refused(operation: "test", reason: "planned")
    hypervisor.changeFaults {
      $0.fail(.makeGrantArena, ordinal: 2, with: error)
      $0.fail(.allocateUnboundChannel, ordinal: 1, with: .disconnected)
    }
    let first = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
    #expect(throws: error) { try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 1) }
    let third = try platform.makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
    #expect(throws: PlatformError.disconnected) { try platform.allocateUnboundChannel(for: .control) }
    #expect(try platform.allocateUnboundChannel(for: .control).port.rawValue > 0)
    #expect(first.reference(ofPage: 0) != third.reference(ofPage: 0))
  }

  @Test func aFailedMappingLeavesNothingBehind() throws {
    let hypervisor = SimulatedHypervisor()
    let arena = try hypervisor.platform(for: .front).makeGrantArena(for: .control, access: .readWrite, pageCount: 1)
    let grants = try hypervisor.platform(for: .control).foreignGrants(of: .front)
    let reference = arena.grant(page: 0)
    let error = PlatformError.refused(operation: "test", reason: "planned")
    for call in [FaultPlan.Call.map, .openArena] {
      hypervisor.changeFaults { $0.fail(call, ordinal: 1, with: error) }
      #expect(throws: GrantError.platform(error)) { try grants.map(reference, writable: true) }
      #expect(hypervisor.ledger[.control].mappedPages == 0)
    }
    grants.unmap(try grants.map(reference, writable: true))
  }

  @Test func randomFaultsRepeatWithTheirSeed() throws {
    func failures(seed: UInt64) -> [Bool] {
      let hypervisor = SimulatedHypervisor(seed: seed)
      hypervisor.changeFaults { $0.failRandomly(.allocateUnboundChannel, oneIn: 3) }
      let platform = hypervisor.platform(for: .front)
      return (0..<64).map { _ in (try? platform.allocateUnboundChannel(for: .control)) == nil }
    }
    #expect(failures(seed: 5) == failures(seed: 5))
    #expect(failures(seed: 5) != failures(seed: 6))
    #expect(failures(seed: 5).contains(true) && failures(seed: 5).contains(false))
  }

  @Test func everyDomainReachesTheStoreAndIsHeldToItsPermissions() async throws {
    let hypervisor = SimulatedHypervisor()
    let control = hypervisor.platform(for: .control).connectToStore()
    let front = hypervisor.platform(for: .front).connectToStore()
    try await control.write("/local/domain/1/name", "front")
    await #expect(throws: XenStoreClientError.self) { try await front.write("/local/domain/1/name", "mine") }
    #expect(try await control.isIntroduced(.front))
    #expect(try await control.read("/local/domain/1/name") == "front")
  }

  @Test func aDeadProcessAndADestroyedDomainLoseTheStore() async throws {
    let hypervisor = SimulatedHypervisor()
    let control = hypervisor.platform(for: .control)
    let killed = hypervisor.platform(for: .front)
    let killedStore = killed.connectToStore()
    let survivorStore = hypervisor.platform(for: .front).connectToStore()
    hypervisor.kill(killed)
    await #expect(throws: XenStoreClientError.self) { try await killedStore.directory("/") }
    #expect(try await survivorStore.domainPath(.front) == "/local/domain/1")
    hypervisor.destroy(.front)
    await #expect(throws: XenStoreClientError.self) { try await survivorStore.domainPath(.front) }
    #expect(try await !control.connectToStore().isIntroduced(.front))
  }
}
