public import EventLoop
import SharedMemory
public import SharedRing
import XenInterface
import XenPlatform

/// The ring half of a device whose page has a ring of events each way, for both ends: one writes what the other reads.
///
/// Events go in with ``send(_:)`` and are written at once where there is room; others wait, up to ``backlogLimit``, and then the oldest
/// are dropped and counted. Loop thread only.
public final class EventPagePlane<Outgoing: DriverRecord, Incoming: DriverRecord>: LoopSource {
  /// What has been done, over all connections.
  public struct Counters: Sendable, Equatable {
    public var sent: UInt64 = 0
    public var received: UInt64 = 0
    /// Events that found no room, or nobody to send to, for too long.
    public var dropped: UInt64 = 0
    public var signals: UInt64 = 0
    public var events: UInt64 = 0
    public var spuriousEvents: UInt64 = 0
    public init() {}
  }

  /// Events that wait for room or for a peer.
  public static var backlogLimit: Int { 256 }
  private static var budget: Int { 128 }

  /// A connection: the two rings, whoever keeps their page, and the channel.
  private final class Connection {
    var writer: EventWriter<Outgoing>
    var reader: EventReader<Incoming>
    let channel: LoopEventChannel
    let version: UInt32
    /// Ends the peer's access to the page, or ours. Returns the pages that could not be given back.
    let release: () -> Int
    var readSinceEvent = 0

    init(
      writer: consuming EventWriter<Outgoing>, reader: consuming EventReader<Incoming>, channel: LoopEventChannel, version: UInt32,
      release: @escaping () -> Int
    ) {
      self.writer = writer
      self.reader = reader
      self.version = version
      self.channel = channel
      self.release = release
    }
  }

  private var connection: Connection?
  private var backlog: [Outgoing] = []
  private var past = Counters()
  private var isBroken = false
  /// What breaks the connection; told once.
  private var onFault: ((EventRingFault) -> Void)?
  /// Why the page is not used any more, although it is connected.
  public private(set) var fault: EventRingFault?
  /// Called for each event of the peer. Nothing in it is to be trusted.
  var onEvent: (Incoming) -> Void = { _ in }

  public var isConnected: Bool { connection != nil && !isBroken }

  public var counters: Counters {
    var counters = past
    if let channel = connection?.channel.counters {
      counters.signals &+= channel.signals
      counters.events &+= channel.events
      counters.spuriousEvents &+= channel.spuriousEvents
    }
    return counters
  }

  /// Sends an event, now or as soon as there is room.
  public func send(_ event: Outgoing) {
    if backlog.count == Self.backlogLimit {
      backlog.removeFirst()
      past.dropped &+= 1
    }
    backlog.append(event)
    flush()
  }

  /// Takes up a page. `release` gives it back and returns how many pages could not be.
  func connect(
    _ memory: SharedBytes, outgoing: EventRingLayout, incoming: EventRingLayout, version: UInt32, channel: EventChannel,
    release: @escaping () -> Int, onFault: @escaping (EventRingFault) -> Void
  ) throws(EventRingFault) {
    precondition(connection == nil, "a second connection")
    let writer = try EventWriter<Outgoing>(memory, layout: outgoing)
    let reader = try EventReader<Incoming>(memory, layout: incoming)
    isBroken = false
    fault = nil
    self.onFault = onFault
    // The event only wakes the loop; the rings are served in their turn, and the channel re-armed there.
    connection = Connection(
      writer: writer, reader: reader, channel: LoopEventChannel(channel, loop: loop) {}, version: version, release: release)
    flush()
  }

  /// Gives the page back; `done` gets the number of pages that the peer still has mapped.
  func disconnect(_ done: @escaping (_ stillMapped: Int) -> Void) {
    guard let connection else { return done(0) }
    past = counters
    self.connection = nil
    connection.channel.close { done(connection.release()) }
  }

  // MARK: Turns

  public override func service() -> Service {
    guard let connection, !isBroken else { return .idle }
    flush()
    var count = 0
    do throws(EventRingFault) {
      while count < Self.budget, !isBroken, var event = try connection.reader.take() {
        count += 1
        event.forget(newerThan: connection.version)
        past.received &+= 1
        onEvent(event)
      }
    } catch {
      giveUp(error)
      return .worked
    }
    connection.readSinceEvent += count
    // A writer that waits for room is told that there is some: the page has no word to ask for that with.
    if count > 0 { connection.channel.signal() }
    if connection.channel.isPending {
      // An event may also say that there is room.
      connection.channel.rearm(spurious: connection.readSinceEvent == 0 && backlog.isEmpty)
      connection.readSinceEvent = 0
    }
    return count == Self.budget ? .moreToDo : count > 0 ? .worked : .idle
  }

  public override func hasWork() -> Bool {
    guard let connection, !isBroken else { return false }
    return connection.reader.hasEvents
  }

  // The peer signals each event, so there is nothing to ask for.
  public override func prepareToSleep() -> Bool { hasWork() }

  private func flush() {
    guard let connection, !isBroken else { return }
    var count = 0
    do throws(EventRingFault) {
      while count < backlog.count {
        var event = backlog[count]
        event.forget(newerThan: connection.version)
        guard try connection.writer.put(event) else { break }
        count += 1
      }
    } catch {
      return giveUp(error)
    }
    guard count > 0 else { return }
    backlog.removeFirst(count)
    past.sent &+= UInt64(count)
    connection.channel.signal()
  }

  private func giveUp(_ fault: EventRingFault) {
    isBroken = true
    self.fault = fault
    onFault.take()?(fault)
  }
}
