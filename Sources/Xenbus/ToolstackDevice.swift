import XenInterface

/// A device as the toolstack sees it: creates and removes the directories of both ends as libxl does.
///
/// The ends' own keys are theirs; the toolstack writes who they are to each other, both states, and what the caller
/// gives (libxl's keys for a disk: `params`, `mode`, `device-type`, `virtual-device`, …).
public struct ToolstackDevice: Sendable {
  public var paths: XenbusDevicePaths
  private let store: any XenbusStore

  public init(paths: XenbusDevicePaths, store: any XenbusStore) {
    self.paths = paths
    self.store = store
  }

  /// Writes both directories and the shadow in one transaction, both states Initialising.
  ///
  /// Permissions: each end owns its directory and the other reads it (`n7, r0`); neither can write the shadow.
  /// - Parameter frontendKeys: nil for a device whose user does not come over the store: there is no front-end's directory then.
  /// - Throws: ``XenbusError/deviceExists(_:)`` when the device is there already.
  public func create(frontendKeys: [String: String]? = [:], backendKeys: [String: String] = [:]) async throws {
    let paths = paths
    let frontend = frontendKeys?.merging(
      ["backend": paths.backend, "backend-id": "\(paths.backendDomain)", "state": Self.initialising]
    ) { _, fixed in fixed }
    let backend = ["online": "1"].merging(backendKeys) { _, given in given }.merging(
      ["frontend": paths.frontend, "frontend-id": "\(paths.frontendDomain)", "state": Self.initialising]
    ) { _, fixed in fixed }
    let (frontendOwner, backendOwner) = (paths.frontendDomain, paths.backendDomain)
    try await store.transaction { transaction in
      for path in [paths.frontend, paths.backend] where try await transaction.read(path + "/state") != nil {
        throw XenbusError.deviceExists(path)
      }
      if let frontend { try await Self.write(frontend, at: paths.frontend, ["n\(frontendOwner)", "r\(backendOwner)"], transaction) }
      try await Self.write(backend, at: paths.backend, ["n\(backendOwner)", "r\(frontendOwner)"], transaction)
      // libxl keeps, for itself, what it gave to the back-end, and where the two directories are.
      let shadow = backend.filter { $0.key != "state" }.merging(["frontend": paths.frontend, "backend": paths.backend]) { _, own in own }
      try await Self.write(shadow, at: paths.shadow, ["n\(DomainID.control)"], transaction)
    }
  }

  /// Asks both ends to close: `online` = 0. Both then go to Closed by themselves.
  public func requestRemoval() async throws {
    let paths = paths
    try await store.transaction { transaction in
      guard try await transaction.read(paths.backend + "/state") != nil else { return }
      try await transaction.write(paths.backend + "/online", "0")
    }
  }

  /// Asks for removal, waits until both ends are Closed, then removes the directories, the shadow and the error nodes.
  ///
  /// An end whose process is gone cannot close; after `patience` the directories are removed all the same, which the
  /// ends that are left take as removal.
  /// - Returns: nil when both ends closed, else which end did not and in which state it was.
  /// - Throws: ``XenbusError/deviceMissing(side:directory:)`` when neither directory is there.
  @discardableResult
  public func remove(patience: Duration = .seconds(10)) async throws -> String? {
    if try await states() == nil { throw XenbusError.deviceMissing(side: .backend, directory: paths.backend) }
    try await requestRemoval()
    let remark = try await waitUntilClosed(patience)
    let paths = paths
    try await store.transaction { transaction in
      for path in [paths.frontend, paths.backend, paths.shadow] { try await transaction.remove(path) }
      for side in XenbusSide.allCases {
        let error = paths.error(of: side)
        if try await transaction.read(error) != nil { try await transaction.remove(String(error.dropLast("/error".count))) }
      }
    }
    return remark
  }

  /// Both `state` keys; nil when neither directory is there.
  private func states() async throws -> (frontend: XenbusState, backend: XenbusState)? {
    let frontend = try await store.read(paths.frontend + "/state")
    let backend = try await store.read(paths.backend + "/state")
    if frontend == nil && backend == nil { return nil }
    return (XenbusState(storeValue: frontend), XenbusState(storeValue: backend))
  }

  private func waitUntilClosed(_ patience: Duration) async throws -> String? {
    let changes = [try await store.watch(paths.frontend + "/state"), try await store.watch(paths.backend + "/state")]
    return try await withThrowingTaskGroup(of: Bool.self) { group in
      for stream in changes {
        group.addTask {
          for await _ in stream where try await bothAreClosed() { return true }
          return false
        }
      }
      group.addTask {
        try await Task.sleep(for: patience)
        return false
      }
      let closed = try await group.next() ?? false
      group.cancelAll()
      if closed { return nil }
      guard let (frontend, backend) = try await states() else { return nil }
      let late = [(XenbusSide.frontend, frontend), (.backend, backend)].filter { $0.1 != .closed && $0.1 != .unknown }
      if late.isEmpty { return nil }
      return "\(paths): removed without waiting longer than \(patience): "
        + late.map { "the \($0.0.rawValue) is \($0.1)" }.joined(separator: ", ")
    }
  }

  private func bothAreClosed() async throws -> Bool {
    guard let (frontend, backend) = try await states() else { return true }
    return [frontend, backend].allSatisfy { $0 == .closed || $0 == .unknown }
  }

  private static let initialising = String(XenbusState.initialising.rawValue)

  private static func write(
    _ keys: [String: String], at path: String, _ permissions: [String], _ transaction: any XenbusTransaction
  ) async throws {
    // The directory first: what is created below it inherits its permissions.
    try await transaction.write(path, "")
    try await transaction.setPermissions(path, permissions)
    for (key, value) in keys.sorted(by: { $0.key < $1.key }) {
      try await transaction.write(path + "/" + key, value)
      try await transaction.setPermissions(path + "/" + key, permissions)
    }
  }
}
