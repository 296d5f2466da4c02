public import XenInterface
import XenStoreWire

/// Which transaction, of which connection: numbers are given anew by each.
struct TransactionIdentity: Hashable, Sendable {
  var id: UInt32
  var epoch: UInt64
}

/// One transaction of a client: sees the store as it was when it began, and its own changes.
///
/// It ends with the connection it was begun on: then every request in it throws ``XenStoreClientError/transactionLost``.
public final class XenStoreTransaction: XenStoreAccess {
  let client: XenStoreClient
  let identity: TransactionIdentity

  init(client: XenStoreClient, identity: TransactionIdentity) {
    self.client = client
    self.identity = identity
  }

  public func request(_ type: XenStoreMessageType, about path: String, payload: [UInt8]) async throws(XenStoreClientError) -> [UInt8] {
    try await client.request(type, about: path, payload: payload, transaction: identity).payload
  }

  /// Makes all changes at once. Refused with EAGAIN when others changed what this transaction looked at. Either way it is over.
  ///
  /// Waits for the outcome even when the task is cancelled.
  public func commit() async throws(XenStoreClientError) { try await end("T") }

  /// Drops all changes. Is done even when the task is cancelled.
  public func abort() async throws(XenStoreClientError) { try await end("F") }

  private func end(_ verdict: String) async throws(XenStoreClientError) {
    _ = try await client.request(
      .transactionEnd, about: "transaction \(identity.id)", payload: XenStorePayload.join([verdict]), transaction: identity,
      ignoresCancellation: true)
  }
}
