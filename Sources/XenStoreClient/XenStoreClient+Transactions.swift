import XenInterface
import XenStoreWire

extension XenStoreClient {
  /// Opens a transaction; the caller must commit or abort it. ``withTransaction(attempts:backOff:_:)`` does that, and tries again when
  /// needed.
  public func beginTransaction() async throws(XenStoreClientError) -> XenStoreTransaction {
    let reply = try await request(.transactionStart, about: "transaction", payload: [0], transaction: nil)
    guard let id = XenStoreClient.transactionID(reply.payload) else { throw .malformedReply(.transactionStart, path: "transaction") }
    return XenStoreTransaction(client: self, identity: TransactionIdentity(id: id, epoch: reply.epoch))
  }

  /// Runs `body` in a transaction and commits it; runs it again from the start when others changed what it looked at, or when the
  /// transaction was lost with its connection before the commit was sent.
  ///
  /// ```swift
  /// try await store.withTransaction { transaction throws(XenStoreClientError) in
  ///   if try await transaction.readIfPresent("state") != nil { try await transaction.write("state", "5") }
  /// }
  /// ```
  /// An error that `body` throws drops its changes and is passed on. Throws ``XenStoreClientError/contended(attempts:)`` when
  /// `attempts`, or the time that `backOff` allows, were not enough.
  nonisolated(nonsending) public func withTransaction<Result>(
    attempts: Int = 100, backOff: XenStoreBackOff = XenStoreBackOff(),
    _ body: (XenStoreTransaction) async throws(XenStoreClientError) -> Result
  ) async throws(XenStoreClientError) -> Result {
    let begin = ContinuousClock.now
    for attempt in 0..<max(attempts, 1) {
      if attempt > 0 {
        // A store that lets each transaction have its turn needs no wait: the first retry has none.
        try await pause(backOff.delay(beforeRetry: attempt))
        if begin.duration(to: .now) > backOff.total { throw .contended(attempts: attempt) }
      }
      let transaction = try await beginTransaction()
      let result: Result
      do throws(XenStoreClientError) {
        result = try await body(transaction)
      } catch {
        do throws(XenStoreClientError) { try await transaction.abort() } catch {
          // The transaction is gone with the connection; the first error says why.
        }
        if error == .transactionLost { continue }
        throw error
      }
      do throws(XenStoreClientError) {
        try await transaction.commit()
        return result
      } catch {
        guard error.storeError == .tryAgain || error == .transactionLost else { throw error }
      }
    }
    throw .contended(attempts: attempts)
  }

  private func pause(_ duration: Duration) async throws(XenStoreClientError) {
    guard duration > .zero else { return await Task.yield() }
    do { try await Task.sleep(for: duration) } catch { throw .cancelled(.transactionStart, path: "transaction") }
  }
}
