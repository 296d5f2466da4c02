public import EventLoop
import LinuxSystem
import SharedMemory
public import SharedRing

/// What uses a byte stream at one end: lives on a loop for good, while connections come and go.
///
/// A subclass moves bytes in ``transfer(_:)``; signals, sleeping, polling and the end of a connection are done here. Loop thread only.
open class ByteStreamEndpoint: LoopSource {
  /// The stream in use; nil while nobody is at the other end, and once the peer has broken a rule.
  public private(set) final var connection: ByteStreamConnection?
  public final var counters = ByteStreamCounters()
  /// Whether bytes that the peer puts in would be taken now.
  public final var wantsBytes = false
  /// Whether there is something to put in for which there was no room.
  public final var wantsRoom = false
  /// Whether there is something to do once the peer has taken everything.
  public final var wantsDrain = false
  /// Why the stream is not used any more, although it is connected.
  public private(set) final var fault: (any Error)?

  /// Connected, broken or not.
  private var held: ByteStreamConnection?
  private var channel: LoopEventChannel?
  private var poller: AdaptivePoller
  private var seen = PeerIndices()
  private var onFault: ((any Error) -> Void)?
  private var ending: [(Int) -> Void] = []

  private struct PeerIndices: Equatable {
    var producer: UInt32 = 0
    var consumer: UInt32 = 0
  }

  public init(loop: EventLoop, polling: PollingPolicy = .never) {
    poller = AdaptivePoller(polling)
    super.init()
    loop.attach(self)
  }

  // MARK: For the owner

  public final var isConnected: Bool { held != nil }

  /// Begins to use a stream. `onFault` is called once if the peer breaks it; then nothing of it is touched until ``disconnect(_:)``.
  public final func connect(_ connection: ByteStreamConnection, onFault: @escaping (any Error) -> Void) {
    precondition(held == nil, "the stream is connected already")
    held = connection
    self.connection = connection
    self.onFault = onFault
    fault = nil
    counters.connectionCount &+= 1
    channel = LoopEventChannel(connection.channel, loop: loop) {}
    didConnect()
  }

  /// Ends the use of the stream, if there is one. `done` gets the number of pages that the peer still has mapped; several may ask.
  public final func disconnect(_ done: @escaping (_ stillMapped: Int) -> Void) {
    guard held != nil else { return done(0) }
    ending.append(done)
    guard ending.count == 1 else { return }
    connection = nil
    willDisconnect { [self] in
      guard let channel else { return finish() }
      counters.add(channel)
      channel.close { [self] in finish() }
      self.channel = nil
    }
  }

  private func finish() {
    let stillMapped = held.take()?.release() ?? 0
    onFault = nil
    let waiting = ending
    ending = []
    for done in waiting { done(stillMapped) }
  }

  /// All that was counted, with the connection that is up.
  public final var total: ByteStreamCounters {
    var total = counters
    if let channel { total.add(channel) }
    return total
  }

  // MARK: For subclasses

  /// The stream that an operation of the kernel was begun for, also while it is being disconnected: what was done has to be told to the
  /// peer, or it would be done again for the next connection.
  public final var connectionOfCompletion: ByteStreamConnection? { fault == nil ? held : nil }

  /// Moves a bounded number of bytes. Called each turn while connected.
  open func transfer(_ connection: ByteStreamConnection) throws(ByteStreamFault) -> Service { .idle }

  /// A stream has been connected.
  open func didConnect() {}

  /// The stream is going: whatever the kernel may still do with its memory has to end before `done` is called. ``connection`` is nil.
  open func willDisconnect(_ done: @escaping () -> Void) { done() }

  /// Ends the endpoint for good, with whatever it holds; it is not connected any more. `done` is called when the loop has let go of it.
  open func close(_ done: @escaping () -> Void) {
    precondition(!isConnected, "an endpoint is closed after its stream")
    if loop != nil { loop.detach(self) }
    done()
  }

  /// Work of a turn that needs no connection.
  open func serviceAlways() -> Service { .idle }

  /// Tells the peer that bytes were put in, if it wants to know.
  public final func didPut(_ count: Int, _ connection: ByteStreamConnection) {
    guard count > 0 else { return }
    counters.putByteCount &+= UInt64(count)
    if connection.cell.value.notification.mustSignal(.written) { channel?.signal() }
  }

  /// Tells the peer that bytes were taken out, if it wants to know.
  public final func didTake(_ count: Int, _ connection: ByteStreamConnection) {
    guard count > 0 else { return }
    counters.takenByteCount &+= UInt64(count)
    if connection.cell.value.notification.mustSignal(.taken) { channel?.signal() }
  }

  /// Tells the peer to look, whatever it asked for: something else in the page has changed.
  public final func signalPeer() { channel?.signal() }

  /// The peer broke the stream, or a rule of what passes over it.
  public final func fail(_ fault: any Error) {
    guard connection != nil else { return }
    self.fault = fault
    connection = nil
    onFault?(fault)
  }

  // MARK: The loop's calls

  public final override func service() -> Service {
    var outcome = serviceAlways()
    guard let connection else { return outcome }
    do throws(ByteStreamFault) {
      let transferred = try transfer(connection)
      if transferred != .idle { outcome = transferred }
    } catch {
      fail(error)
      return .worked
    }
    if outcome != .idle { poller.workArrived(at: MonotonicClock.nowNanoseconds) }
    if let channel, channel.isPending {
      // Signals come for what the peer took as well as for what it put in, so an event without work for us is no spurious one.
      let now = indices(connection)
      channel.rearm(spurious: now == seen)
      seen = now
    }
    return outcome
  }

  public final override func hasWork() -> Bool {
    guard let connection else { return false }
    return wantsBytes && connection.cell.value.consumer.mayHaveBytes || wantsRoom && connection.cell.value.producer.mayHaveRoom
      || wantsDrain && connection.cell.value.producer.isDrained
  }

  public final override func wantsPolling(now: UInt64) -> Bool { connection != nil && poller.shouldKeepPolling(now: now) }

  public final override func prepareToSleep() -> Bool {
    guard let connection else { return false }
    // What the peer does without being asked goes unnoticed where it signals on request only: also that it takes the last byte.
    connection.cell.value.notification.request(wantsRoom || wantsDrain ? [.written, .taken] : .written)
    return hasWork()
  }

  private func indices(_ connection: ByteStreamConnection) -> PeerIndices {
    PeerIndices(producer: connection.cell.value.consumer.peerIndex, consumer: connection.cell.value.producer.peerIndex)
  }
}

extension ByteStreamCounters {
  fileprivate mutating func add(_ channel: LoopEventChannel) {
    eventCount &+= channel.counters.events
    spuriousEventCount &+= channel.counters.spuriousEvents
    signalCount &+= channel.counters.signals
  }
}
