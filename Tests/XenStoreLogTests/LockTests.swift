import LinuxSystem
import Synchronization
import Testing

@Suite struct LockTests {
  @Test func twoNeverHoldAFileAtOnceHoweverOftenItIsMadeAndRemoved() async throws {
    let directory = try TemporaryDirectory()
    let path = "\(directory.path)/lock"
    let holders = Holders()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          await withCheckedContinuation { continuation in
            do {
              try SystemThread.start(name: "holder") {
                for _ in 0..<3000 { holders.tryOnce(path) }
                continuation.resume()
              }
            } catch {
              continuation.resume()
            }
          }
        }
      }
    }
    #expect(holders.most.load(ordering: .sequentiallyConsistent) == 1)
  }

  private final class Holders: Sendable {
    private let count = Atomic(0)
    let most = Atomic(0)

    func tryOnce(_ path: String) {
      guard let lock = try? LockedFile(path: path) else { return }
      let now = count.add(1, ordering: .sequentiallyConsistent).newValue
      most.max(now, ordering: .sequentiallyConsistent)
      SystemThread.yield()
      count.subtract(1, ordering: .sequentiallyConsistent)
      _ = consume lock
    }
  }
}
