import DriverCommands
import Logging
import PVDriver
import VhostUser
import XenInterface
import XenStoreClient
import Xenbus

/// What the store says of a device that a VMM uses: its back-end's state, and nothing of another end.
///
/// InitWait while nobody is connected, Connected while a VMM is, Closed at the end. The toolstack removes the device as any other.
struct VhostUserLife {
  let address: DeviceAddress
  let directory: RunDirectory
  let store: XenStoreClient
  let logger: Logger

  private var paths: XenbusDevicePaths { address.paths }

  /// Serves the device until it is removed or `isStopped`; it is closed then.
  /// - Parameters:
  ///   - keys: what the back-end says of the device in the store.
  ///   - beside: what goes on while the device is served; cancelled after that.
  ///   - status: what the status file says, asked twice a second.
  func serve<Device, Status: Encodable & Equatable & Sendable>(
    _ served: ServedVhostUser<Device>, keys: [String: String], isStopped: StopRequest, beside: @escaping @Sendable () async -> Void,
    status: @escaping @Sendable () async -> Status
  ) async -> BackendSupervisor.Report {
    let path = directory.device(address.id).backendStatus
    let helpers = [Task { await StatusFile.keepWriting(to: path, status) }, Task { await beside() }]
    var report = BackendSupervisor.Report(exitCode: 0, text: "\(address.paths): stopped")
    do {
      try await run(keys: keys, notices: served.notices, isStopped: isStopped)
    } catch {
      report = BackendSupervisor.Report(exitCode: 1, text: "\(address.paths): \(error)")
    }
    for helper in helpers { helper.cancel() }
    await served.close()
    try? await enter(.closed)
    return report
  }

  /// Offers the device with `keys`, and follows what the VMM does until the device is removed or `isStopped`.
  private func run(keys: [String: String], notices: AsyncStream<VhostUserServer.Notice>, isStopped: StopRequest) async throws {
    for (key, value) in keys { try await store.write("\(paths.backend)/\(key)", value) }
    try await enter(.initWait)
    let following = Task {
      for await notice in notices {
        switch notice {
        case .connected:
          logger.notice("a VMM is connected to \(address.id)")
          try await enter(.connected)
        case .disconnected:
          logger.notice("the VMM of \(address.id) is gone")
          try await enter(.initWait)
        }
      }
    }
    defer { following.cancel() }
    let changes = try await XenbusClientStore(store).watch(paths.backend)
    let (wakeUps, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let watching = Task {
      for await _ in changes { wake.yield() }
      wake.finish()
    }
    Task {
      await isStopped.wait()
      wake.yield()
    }
    defer {
      watching.cancel()
      // Nobody goes on waiting for a device that is gone.
      isStopped.raise()
    }
    for await _ in wakeUps {
      if isStopped.isRaised { return }
      if try await store.readIfPresent("\(paths.backend)/online") != "1" { return }
    }
  }

  /// Says so in the store, unless the device's directory is gone already.
  private func enter(_ state: XenbusState) async throws {
    let backend = paths.backend
    try await XenbusClientStore(store).transaction { transaction in
      guard try await transaction.read("\(backend)/state") != nil else { return }
      try await transaction.write("\(backend)/state", "\(state.rawValue)")
      try await transaction.write("\(backend)/\(XenbusDiagnosis.sinceKey)", "\(XenbusDiagnosis.currentTime())")
    }
  }
}
