import Glibc
import LinuxSystem
import SystemPackage

/// Says that this process is the back-end (or the front-end) of a device; a second one is refused.
public final class DeviceLock {
  private var file: LockedFile?

  private init(_ file: consuming LockedFile) { self.file = consume file }

  /// Becomes the back-end of `address`. An old one that is ending is waited for, a little.
  public static func take(_ address: DeviceAddress, _ directory: RunDirectory) async throws -> DeviceLock {
    try await take(directory.device(address.id).path, "backend", of: address)
  }

  /// Becomes the front-end of `address`.
  public static func takeFrontend(_ address: DeviceAddress, _ directory: RunDirectory) async throws -> DeviceLock {
    try await take(directory.device(address.id).path, "frontend", of: address)
  }

  private static func take(_ path: String, _ role: String, of address: DeviceAddress) async throws -> DeviceLock {
    try RunDirectory.create(path)
    let lockPath = "\(path)/\(role).pid"
    for attempt in 0... {
      do {
        return DeviceLock(try LockedFile(path: lockPath))
      } catch .wouldBlock where attempt < 20 {
        try await Task.sleep(for: .milliseconds(50))
      } catch .wouldBlock {
        let holder = LockedFile.holder(of: lockPath).map { "process \($0)" } ?? "another process"
        throw CommandFailure("\(address.device) of domain \(address.domain) has a \(role) already (\(holder)): stop that one first")
      } catch {
        throw CommandFailure("cannot write \(lockPath): \(error)")
      }
    }
    fatalError("unreachable")
  }

  public func release() { file = nil }
}
