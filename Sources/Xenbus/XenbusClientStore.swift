public import XenInterface
public import XenStoreClient
import XenStoreWire

/// A store's client as the life cycle uses it. One connection serves any number of devices.
public struct XenbusClientStore: XenbusStore {
  public let client: XenStoreClient

  public init(_ client: XenStoreClient) { self.client = client }

  /// As ``XenbusStore/read(_:)``; a node that we may not see reads as missing.
  public func read(_ path: String) async throws -> String? {
    do throws(XenStoreClientError) {
      return try await client.readIfPresent(path)
    } catch {
      if error.storeError == .accessDenied { return nil }
      throw error
    }
  }

  public func transaction<Result: Sendable>(
    _ body: @Sendable (any XenbusTransaction) async throws -> Result
  ) async throws -> Result {
    var attempts = 0
    while true {
      attempts += 1
      let transaction = try await client.beginTransaction()
      let result: Result
      do {
        result = try await body(StoreTransaction(transaction: transaction))
      } catch {
        // The first error says why; a transaction that cannot be dropped is gone with its connection.
        try? await transaction.abort()
        throw error
      }
      do throws(XenStoreClientError) {
        try await transaction.commit()
        return result
      } catch {
        guard error.storeError == .tryAgain else { throw error }
        guard attempts < Self.transactionAttempts else { throw XenStoreClientError.contended(attempts: attempts) }
        await Task.yield()
      }
    }
  }

  /// A peer that writes in a loop what we read must not keep us for ever.
  private static let transactionAttempts = 100

  public func watch(_ path: String) async throws -> AsyncStream<Void> {
    let watch = try await client.watch(path)
    let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let pump = Task {
      for await _ in watch { continuation.yield() }
      continuation.finish()
    }
    continuation.onTermination = { _ in
      pump.cancel()
      watch.cancel()
    }
    return stream
  }

  public func domainExists(_ domain: DomainID) async -> Bool {
    // Only a privileged client may ask; for the others the domain's home tells, which the toolstack removes.
    do throws(XenStoreClientError) {
      return try await client.isIntroduced(domain)
    } catch {
      do throws(XenStoreClientError) {
        return try await client.readIfPresent("/local/domain/\(domain)") != nil
      } catch {
        return true
      }
    }
  }
}

private struct StoreTransaction: XenbusTransaction {
  let transaction: XenStoreTransaction

  func read(_ path: String) async throws -> String? {
    try await Self.present { () throws(XenStoreClientError) in try await transaction.read(path) }
  }

  func children(_ path: String) async throws -> [String]? {
    try await Self.present { () throws(XenStoreClientError) in try await transaction.directory(path) }
  }

  func write(_ path: String, _ value: String) async throws {
    try await transaction.write(path, value)
  }

  func remove(_ path: String) async throws {
    _ = try await Self.present { () throws(XenStoreClientError) in try await transaction.remove(path) }
  }

  func setPermissions(_ path: String, _ permissions: [String]) async throws {
    let entries = permissions.compactMap { XenStorePermission(text: $0.utf8) }
    precondition(entries.count == permissions.count, "a permission that is none in \(permissions)")
    try await transaction.setPermissions(path, entries)
  }

  /// Nil for a node that is not there, or that we may not see.
  private static func present<Value>(_ body: () async throws(XenStoreClientError) -> Value) async throws(XenStoreClientError) -> Value? {
    do throws(XenStoreClientError) {
      return try await body()
    } catch {
      if error.storeError == .noEntry || error.storeError == .accessDenied { return nil }
      throw error
    }
  }
}
