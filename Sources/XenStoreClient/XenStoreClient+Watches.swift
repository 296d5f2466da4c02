import XenInterface
import Synchronization
import XenInterface
import XenStoreWire

extension XenStoreClient {
  /// Watches a node, existing or not, and everything below it; or an occasion such as `@releaseDomain`.
  ///
  /// Returns when the store has accepted the watch. `token` is what the events carry and must not be in use by this client; nil lets the
  /// client choose.
  public func watch(_ path: String, token: String? = nil) async throws(XenStoreClientError) -> XenStoreWatch {
    guard !path.utf8.contains(0), token?.utf8.contains(0) != true else { throw .unsendable(.watch, path: path) }
    let events = WatchEvents()
    // Known before the request is sent: the first event may come right behind the reply.
    let chosen: String? = state.withLock { state in
      var chosen = token ?? ""
      if token == nil {
        repeat {
          state.lastToken += 1
          chosen = "pvio-\(state.lastToken)"
        } while state.watches[chosen] != nil
      }
      guard state.watches[chosen] == nil else { return nil }
      if !state.isLost { state.watches[chosen] = events }
      return chosen
    }
    guard let chosen else { throw .refused(.watch, path: path, .exists) }
    do throws(XenStoreClientError) {
      _ = try await request(.watch, about: path, payload: XenStorePayload.join([path, chosen]))
    } catch {
      forget(chosen, events)
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
      guard state.watches[token] === events else { return false }
      state.watches[token] = nil
      return true
    }
  }
}
