import Synchronization

/// Something changed at or below a watched path; it says "look again" and carries no value.
public struct XenStoreWatchEvent: Hashable, Sendable {
  /// The node that changed, in the form of the watch: relative when the watched path was.
  public var path: String
  /// The watch's token.
  public var token: String

  public init(path: String, token: String) {
    self.path = path
    self.token = token
  }
}

/// The events of one watch. The first comes at once, without a change. Ends with the connection, or when its task is cancelled.
///
/// For one consumer at a time. The watch is withdrawn from the store when the sequence and its iterators are gone.
public struct XenStoreWatch: AsyncSequence, Sendable {
  public typealias Element = XenStoreWatchEvent
  public typealias Failure = Never

  let subscription: WatchSubscription

  /// What the events carry.
  public var token: String { subscription.token }

  public func makeAsyncIterator() -> Iterator { Iterator(subscription: subscription) }

  /// Withdraws the watch; a waiting consumer sees the end.
  public func cancel() { subscription.cancel() }

  public struct Iterator: AsyncIteratorProtocol {
    let subscription: WatchSubscription

    public mutating func next() async -> XenStoreWatchEvent? { await subscription.next() }

    public mutating func next(isolation actor: isolated (any Actor)?) async -> XenStoreWatchEvent? { await subscription.next() }
  }
}

/// Holds a watch in the store for as long as somebody holds this.
final class WatchSubscription: Sendable {
  let token: String
  private let path: String
  private let client: XenStoreClient
  private let events: WatchEvents

  init(client: XenStoreClient, path: String, token: String, events: WatchEvents) {
    self.client = client
    self.path = path
    self.token = token
    self.events = events
  }

  deinit { cancel() }

  func next() async -> XenStoreWatchEvent? {
    await withTaskCancellationHandler {
      await events.next()
    } onCancel: {
      cancel()
    }
  }

  func cancel() {
    client.endWatch(path: path, token: token, events: events)
    events.end()
  }
}

/// Events that arrived and were not taken. One that is already waiting is not added again, as in the store itself: a slow consumer
/// keeps at most one event a changed node.
final class WatchEvents: Sendable {
  private struct State {
    var events: [XenStoreWatchEvent] = []
    var head = 0
    var paths: Set<String> = []
    var consumer: CheckedContinuation<XenStoreWatchEvent?, Never>?
    var isEnded = false
  }

  private let state = Mutex(State())

  func append(_ event: XenStoreWatchEvent) {
    let consumer: CheckedContinuation<XenStoreWatchEvent?, Never>? = state.withLock { state in
      if state.isEnded { return nil }
      if let consumer = state.consumer {
        state.consumer = nil
        return consumer
      }
      if state.paths.insert(event.path).inserted { state.events.append(event) }
      return nil
    }
    consumer?.resume(returning: event)
  }

  /// What arrived before is still delivered.
  func end() {
    let consumer: CheckedContinuation<XenStoreWatchEvent?, Never>? = state.withLock { state in
      state.isEnded = true
      defer { state.consumer = nil }
      return state.consumer
    }
    consumer?.resume(returning: nil)
  }

  func next() async -> XenStoreWatchEvent? {
    await withCheckedContinuation { continuation in
      let answer: XenStoreWatchEvent?? = state.withLock { state in
        if state.head < state.events.count {
          let event = state.events[state.head]
          state.head += 1
          state.paths.remove(event.path)
          if state.head == state.events.count {
            state.events.removeAll()
            state.head = 0
          }
          return .some(event)
        }
        // A second consumer would wait for ever in place of the first: it sees the end instead.
        if state.isEnded || state.consumer != nil { return .some(nil) }
        state.consumer = continuation
        return nil
      }
      if let answer { continuation.resume(returning: answer) }
    }
  }
}
