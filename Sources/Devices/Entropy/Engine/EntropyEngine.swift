import LinuxSystem
public import PVDriver
import XenInterface

/// Fills requests with random bytes of the kernel.
public final class EntropyEngine: RequestRingEngine {
  public typealias Interface = EntropyInterface
  public init(_ setup: EngineSetup) {}

  public func handle(_ request: EntropyRequest, _ data: GrantedBytes) -> EntropyResponse {
    data.fill(KernelRandom.fill)
    return EntropyResponse(.okay)
  }
}
