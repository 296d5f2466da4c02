import BlockBack
import BlockInterface
import DriverCommands
import Logging
import XenStoreClient
import Xenbus

/// A disk that is being served, over whatever, and can become larger or smaller meanwhile.
protocol ResizableDisk: Sendable {
  /// Looks at the file's size again.
  func refreshSize() async throws -> BlockGeometry
  /// Changes the size of a disk that is no file.
  func resize(byteCount: UInt64) async throws -> BlockGeometry
}

extension BlockBackendDriver: ResizableDisk {}

/// The back-end's half of `pvio resize`: the toolstack writes a wish into the back-end's directory, the back-end takes
/// it out when it is done, or puts a reason in its place.
struct DiskResizing {
  let address: DeviceAddress
  let disk: any ResizableDisk
  let store: XenStoreClient
  let logger: Logger

  /// A size in bytes, or ``asTheFileIs``.
  static let wishKey = "pvio-resize"
  /// Look at the file again.
  static let asTheFileIs = "refresh"
  static let failurePrefix = "failed: "

  var path: String { "\(address.paths.backend)/\(Self.wishKey)" }

  /// Grants wishes until the task is cancelled or the store is gone.
  func serve() async {
    guard let changes = try? await store.watch(path) else { return }
    for await _ in changes {
      guard let wish = try? await store.readIfPresent(path), !wish.hasPrefix(Self.failurePrefix) else { continue }
      do {
        let geometry: UInt64
        if let byteCount = UInt64(wish) {
          geometry = try await disk.resize(byteCount: byteCount).byteCount
        } else {
          geometry = try await disk.refreshSize().byteCount
        }
        logger.notice("\(address.device) of domain \(address.domain) is \(geometry) bytes now")
        try await store.remove(path)
      } catch {
        try? await store.write(path, Self.failurePrefix + "\(error)")
      }
    }
  }
}
