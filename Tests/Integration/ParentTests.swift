import Foundation
import Glibc
import LinuxSystem
import Testing

extension Integration {
  /// Back-ends end with the process that started them, and not before.
  @Suite struct Parents {
    @Test func aBackendOutlivesTheThreadThatStartedIt() async throws {
      try await withTestBed { bed in
        let domain = try await bed.pvio("domain", "create", "guest").trimmingCharacters(in: .whitespacesAndNewlines)
        // The thread ends once the back-end is up, as the threads of a pool do that have had nothing to do for a while.
        let runDirectory = bed.runDirectory
        let backend = try await withCheckedThrowingContinuation { continuation in
          try? SystemThread.start(name: "starter") {
            continuation.resume(
              with: Result {
                let started = try ChildProcess.spawn(
                  Program.pvio,
                  ["backend", "block", "--run-dir", runDirectory, "--domain", domain, "--disk", "null=1M,id=lasting", "--exit-with-parent"])
                for _ in 0..<1000 where LockedFile.holder(of: "\(runDirectory)/devices/lasting/backend.pid") == nil { usleep(10_000) }
                return started
              })
          }
        }
        try await Task.sleep(for: .milliseconds(300))
        #expect(backend.poll() == nil)
        backend.send(signal: SIGTERM)
        #expect(backend.wait() == .exited(0))
      }
    }
  }
}
