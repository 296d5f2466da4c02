import Synchronization

/// What a device counted, by kind of operation.
///
/// The loop that owns a queue counts in a ``DeviceStatistics`` value of its own, with plain additions; now and then (once
/// a turn with work, not once a request) it hands a copy to a ``StatisticsBoard``, where other threads read.
public struct DeviceStatistics: Sendable, Equatable {
  /// One kind of operation: reads, writes, packets received, …
  public struct Operation: Sendable, Equatable {
    /// Operations that were answered, with or without an error.
    public var count: UInt64 = 0
    /// Bytes of those that were answered without an error.
    public var byteCount: UInt64 = 0
    /// Operations that were answered with an error.
    public var errorCount: UInt64 = 0
    /// Time from taking an operation to answering it, summed, in nanoseconds.
    public var nanoseconds: UInt64 = 0

    public init() {}

    /// Counts one that succeeded. Called by the owning loop.
    @inlinable public mutating func finish(byteCount: UInt64, nanoseconds: UInt64) {
      count &+= 1
      self.byteCount &+= byteCount
      self.nanoseconds &+= nanoseconds
    }

    /// Counts one that failed. Called by the owning loop.
    @inlinable public mutating func fail(nanoseconds: UInt64) {
      count &+= 1
      errorCount &+= 1
      self.nanoseconds &+= nanoseconds
    }
  }

  public var read = Operation()
  public var write = Operation()
  /// Flushes and barriers.
  public var flush = Operation()
  public var discard = Operation()
  /// Requests that broke a rule and were answered with an error without reaching the device.
  public var rejectedCount: UInt64 = 0
  /// Events that arrived on the event channels.
  public var eventCount: UInt64 = 0
  /// Events that arrived with nothing on the ring.
  public var spuriousEventCount: UInt64 = 0
  /// Events sent to the peer.
  public var notificationCount: UInt64 = 0
  /// Requests taken and not answered yet.
  public var inFlightCount: UInt64 = 0

  public init() {}

  /// Adds another queue's figures.
  public mutating func add(_ other: DeviceStatistics) {
    for field in Self.operations {
      self[keyPath: field].count &+= other[keyPath: field].count
      self[keyPath: field].byteCount &+= other[keyPath: field].byteCount
      self[keyPath: field].errorCount &+= other[keyPath: field].errorCount
      self[keyPath: field].nanoseconds &+= other[keyPath: field].nanoseconds
    }
    for field in Self.counters { self[keyPath: field] &+= other[keyPath: field] }
  }

  private static var operations: [WritableKeyPath<DeviceStatistics, Operation>] { [\.read, \.write, \.flush, \.discard] }
  private static var counters: [WritableKeyPath<DeviceStatistics, UInt64>] {
    [\.rejectedCount, \.eventCount, \.spuriousEventCount, \.notificationCount, \.inFlightCount]
  }
}

/// Where the queues of a device leave their figures, and anybody may read them at any time, also while it disconnects.
public final class StatisticsBoard: Sendable {
  private struct Figures {
    /// Of queues that are connected now.
    var queues: [Int: DeviceStatistics] = [:]
    /// Of connections that have ended.
    var past = DeviceStatistics()
  }

  private let figures = Mutex(Figures())

  public init() {}

  /// Replaces the figures of one queue. Called by the queue's loop, at most once a turn.
  public func post(_ statistics: DeviceStatistics, queue: Int) { figures.withLock { $0.queues[queue] = statistics } }

  /// Keeps the figures of every queue and forgets the queues: their connection has ended and nothing is in flight.
  public func endConnection() {
    figures.withLock { figures in
      for queue in figures.queues.values { figures.past.add(queue) }
      figures.past.inFlightCount = 0
      figures.queues = [:]
    }
  }

  /// All queues and all connections together. From any thread.
  public var total: DeviceStatistics {
    figures.withLock { figures in figures.queues.values.reduce(into: figures.past) { $0.add($1) } }
  }
}
