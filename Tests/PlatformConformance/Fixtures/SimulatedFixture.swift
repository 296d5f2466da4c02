import SimulatedPlatform
import XenInterface
import XenPlatform

final class SimulatedFixture: PlatformFixture {
  let hypervisor: SimulatedHypervisor

  init(guestLimits: DomainLimits) { hypervisor = SimulatedHypervisor(seed: 1, limits: guestLimits) }

  func platform(for domain: DomainID) -> any XenPlatform { hypervisor.platform(for: domain) }
  func kill(_ platform: any XenPlatform) { (platform as? SimulatedPlatform).map(hypervisor.kill) }
  func destroy(_ domain: DomainID) { hypervisor.destroy(domain) }
  func leaks() -> String { hypervisor.ledger.leaks }
  func tearDown() {}
  func removeFiles() {}
}
