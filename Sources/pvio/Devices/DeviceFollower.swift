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

    /// Begins to serve one device of several in this process: as its only back-end, until it is removed or the end is asked for. How it
    /// ended stands in the log; why it could not be served, where its toolstack looks as well.
    static func begin(
      _ address: DeviceAddress, _ directory: RunDirectory, _ store: XenStoreClient, _ logger: Logger,
      _ serve: @escaping @Sendable (_ isStopped: StopRequest) async throws -> BackendSupervisor.Report
    ) -> Served {
      let isStopped = StopRequest()
      let task = Task {
        do {
          let lock = try await DeviceLock.take(address, directory)
          defer { lock.release() }
          let report = try await serve(isStopped)
          if report.exitCode != 0 { logger.error("\(report.text)") } else { logger.notice("\(report.text)") }
        } catch {
          await sayWhy(address, error, store, logger)
        }
      }
      return Served(stop: { isStopped.raise() }, task: task)
    }
  }

  /// Says why a device is not served: in the log, and where its toolstack looks.
  private static func sayWhy(_ address: DeviceAddress, _ error: any Error, _ store: XenStoreClient, _ logger: Logger) async {
    logger.error("\(address.device) of domain \(address.domain): \(error)")
    try? await store.write(address.paths.error(of: .backend), "\(error)")
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
    let devices = try await DeviceAddress.all(of: kind, store)
    for address in devices where served[address.paths.backend] == nil && !refused.contains(address.paths.backend) {
      do {
        if let device = try await begin(address) { served[address.paths.backend] = device }
      } catch let failure as CommandFailure {
        // The others go on.
        refused.insert(address.paths.backend)
        await Self.sayWhy(address, failure, store, logger)
      }
    }
    let present = Set(devices.map(\.paths.backend))
    refused.formIntersection(present)
    for (path, device) in served where !present.contains(path) {
      await device.task.value
      served[path] = nil
    }
  }
}
