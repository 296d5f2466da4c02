import DriverCommands
import Logging
import PVDriver
import XenStoreClient
import Xenbus

/// Serves devices as they come and go: looks whenever something changes below the back-ends' directories in the store.
final class DeviceFollower {
  /// A device that is being served.
  struct Served {
    var stop: () -> Void
    /// Ends when the device is not served any more.
    var task: Task<Void, Never>
  }

  private let kind: DeviceKind
  private let store: XenStoreClient
  private let logger: Logger
  private var served: [String: Served] = [:]
  /// Devices that cannot be served as they are; left alone until they are attached anew.
  private var refused: Set<String> = []

  init(_ kind: DeviceKind, store: XenStoreClient, logger: Logger) {
    self.kind = kind
    self.store = store
    self.logger = logger
  }

  /// Follows until `isStopped`, or until there has been no device for `idlePatience`; then stops all and waits for them.
  /// - Parameter begin: begins to serve a device; nil when it is none of the caller's. A `CommandFailure` says why it cannot be.
  func run(
    until isStopped: StopRequest, idlePatience: Duration?, begin: (DeviceAddress) async throws -> Served?
  ) async throws {
    let (wakeUps, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    var helpers = [
      Task {
        await isStopped.wait()
        wake.yield()
      },
      // A device whose task has ended, and time that passes with nothing to do.
      Task {
        while !Task.isCancelled {
          try? await Task.sleep(for: .seconds(1))
          wake.yield()
        }
      },
    ]
    defer { for helper in helpers { helper.cancel() } }
    for type in DeviceAddress.backendTypes(of: kind) {
      let changes = try await store.watch(DeviceAddress.backends(type))
      helpers.append(Task { for await _ in changes { wake.yield() } })
    }
    try await follow(wakeUps, until: isStopped, idlePatience: idlePatience, begin)
    for device in served.values { device.stop() }
    for device in served.values { await device.task.value }
  }

  private func follow(
    _ wakeUps: AsyncStream<Void>, until isStopped: StopRequest, idlePatience: Duration?, _ begin: (DeviceAddress) async throws -> Served?
  ) async throws {
    var idleSince = ContinuousClock.now
    for await _ in wakeUps {
      if isStopped.isRaised { return }
      try await look(begin)
      if !served.isEmpty { idleSince = .now }
      if let idlePatience, ContinuousClock.now - idleSince > idlePatience { return }
    }
  }

  /// Begins to serve what has come, and forgets what has gone.
  private func look(_ begin: (DeviceAddress) async throws -> Served?) async throws {
    let devices = try await DeviceAddress.all(store).filter { $0.device.kind == kind }
    for address in devices where served[address.paths.backend] == nil && !refused.contains(address.paths.backend) {
      do {
        if let device = try await begin(address) { served[address.paths.backend] = device }
      } catch let failure as CommandFailure {
        await refuse(address, failure)
      }
    }
    let present = Set(devices.map(\.paths.backend))
    refused.formIntersection(present)
    for (path, device) in served where !present.contains(path) {
      await device.task.value
      served[path] = nil
    }
  }

  /// Says why a device is not served: in the log, and where its toolstack looks. The others go on.
  private func refuse(_ address: DeviceAddress, _ failure: CommandFailure) async {
    refused.insert(address.paths.backend)
    logger.error("\(address.device) of domain \(address.domain): \(failure)")
    try? await store.write(address.paths.error(of: .backend), "\(failure)")
  }
}
