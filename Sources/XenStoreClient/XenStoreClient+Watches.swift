import Synchronization
import XenInterface
import XenStoreWire

extension XenStoreClient {
  /// Watches a node, existing or not, and everything below it; or an occasion such as `@releaseDomain`.
  ///
  /// Returns when the store has accepted the watch. `token` is what the events carry and must not be in use by this client; nil lets the
  /// client choose. After a reconnection the watch goes on with another first event: look again. When the store refuses it then, it ends.
  public func watch(_ path: some XenStoreLocation, token: String? = nil) async throws(XenStoreClientError) -> XenStoreWatch {
    let path = path.storePath
    guard !path.utf8.contains(0), token?.utf8.contains(0) != true else { throw .unsendable(.watch, path: path) }
    let events = WatchEvents()
    // Known before the request is sent: the first event may come right behind the reply.
    guard let chosen = state.withLock({ $0.register(events, path: path, token: token) }) else {
      throw .refused(.watch, path: path, .exists)
    }
    do throws(XenStoreClientError) {
      _ = try await request(
        .watch, about: path, payload: XenStorePayload.join([path, chosen]), transaction: nil, watchToken: chosen)
    } catch {
      switch error {
      // The store may have accepted it, or be about to.
      case .cancelled, .timedOut: endWatch(path: path, token: chosen, events: events)
      default: forget(chosen, events)
      }
      throw error
    }
    return XenStoreWatch(subscription: WatchSubscription(client: self, path: path, token: chosen, events: events))
  }

  /// Withdraws a watch, unless it is withdrawn already.
  func endWatch(path: String, token: String, events: WatchEvents) {
    if forget(token, events) { sendWithoutReply(.unwatch, strings: [path, token]) }
  }

  @discardableResult
  private func forget(_ token: String, _ events: WatchEvents) -> Bool {
    state.withLock { state in
      guard state.watches[token]?.events === events else { return false }
      state.watches[token] = nil
      return true
    }
  }
}

extension XenStoreClient.State {
  /// The token of a new watch; nil when the one that is asked for is in use.
  fileprivate mutating func register(_ events: WatchEvents, path: String, token: String?) -> String? {
    var chosen = token ?? ""
    if token == nil {
      repeat {
        lastToken += 1
        chosen = "pvio-\(lastToken)"
      } while watches[chosen] != nil
    }
    guard watches[chosen] == nil else { return nil }
    if case .closed = link { return chosen }
    watches[chosen] = WatchRegistration(path: path, events: events)
    return chosen
  }
}
