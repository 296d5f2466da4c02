public import XenInterface
import XenStoreWire

/// One transaction of a client: sees the store as it was when it began, and its own changes.
public final class XenStoreTransaction: XenStoreAccess {
  private let client: XenStoreClient
  private let id: UInt32

  fileprivate init(client: XenStoreClient, id: UInt32) {
    self.client = client
    self.id = id
  }

  public func request(_ type: XenStoreMessageType, about path: String, payload: [UInt8]) async throws(XenStoreClientError) -> [UInt8] {
    try await client.request(type, about: path, payload: payload, transactionID: id)
  }

  /// Makes all changes at once. Refused with EAGAIN when others changed what this transaction looked at. Either way it is over.
  public func commit() async throws(XenStoreClientError) { try await end("T") }

  /// Drops all changes.
  public func abort() async throws(XenStoreClientError) { try await end("F") }

  private func end(_ verdict: String) async throws(XenStoreClientError) {
    _ = try await request(.transactionEnd, about: "transaction \(id)", payload: XenStorePayload.join([verdict]))
  }
}

extension XenStoreClient {
  /// Opens a transaction; the caller must commit or abort it. ``withTransaction(attempts:_:)`` does that, and tries again when needed.
  public func beginTransaction() async throws(XenStoreClientError) -> XenStoreTransaction {
    let reply = try await request(.transactionStart, about: "transaction", payload: [0])
    guard let text = XenStorePayload.onlyString(reply), let id = XenStorePayload.number(text, as: UInt32.self), id != 0 else {
      throw .malformedReply(.transactionStart, path: "transaction")
    }
    return XenStoreTransaction(client: self, id: id)
  }

  /// Runs `body` in a transaction and commits it; runs it again from the start when others changed what it looked at.
  ///
  /// ```swift
  /// try await store.withTransaction { transaction throws(XenStoreClientError) in
  ///   if try await transaction.readIfPresent("state") != nil { try await transaction.write("state", "5") }
  /// }
  /// ```
  /// An error that `body` throws drops its changes and is passed on. Throws ``XenStoreClientError/contended(attempts:)`` when
  /// `attempts` were not enough.
  nonisolated(nonsending) public func withTransaction<Result>(
    attempts: Int = 100, _ body: (XenStoreTransaction) async throws(XenStoreClientError) -> Result
  ) async throws(XenStoreClientError) -> Result {
    for _ in 0..<attempts {
      let transaction = try await beginTransaction()
      let result: Result
      do throws(XenStoreClientError) {
        result = try await body(transaction)
      } catch {
        do throws(XenStoreClientError) { try await transaction.abort() } catch {
          // The transaction is gone with the connection; the first error says why.
        }
        throw error
      }
      do throws(XenStoreClientError) {
        try await transaction.commit()
        return result
      } catch {
        if error.storeError != .tryAgain { throw error }
        await Task.yield()
      }
    }
    throw .contended(attempts: attempts)
  }
}
