import EventLoop
import Logging
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform
import XenStoreCore
import XenStoreMigration
import XenStoreRing

/// A domain that comes over its page (`struct xenstore_domain_interface`).
///
/// The page is written by somebody who may lie in it. An index or a length that cannot be makes the connection *broken*: it loses its
/// watches, transactions and output, the page's `error` field says why, and the domain is ignored until it asks to begin again. It is
/// not the domain's death (XSA-325).
final class RingConnection: StoreLink {
  private enum Life {
    case open
    /// Ignored until the guest begins again.
    case broken
    case closed
  }

  /// Output is taken from the core only up to here: what stays there can still absorb identical events.
  private static let unsentByteCount = 4096

  let domain: DomainID
  let address: XenStoreRingAddress
  private unowned let server: XenStoreServer
  private let page: XenStoreRingPage
  private var ring: StoreRing?
  private var channel: LoopEventChannel!
  private var requests: ByteStreamConsumer
  private var responses: ByteStreamProducer
  private var life = Life.open
  /// Whether it lost everything since the server was last told to see to the others.
  private var wasEmptied = false
  /// How often it was broken, for the log.
  private var violationCount: UInt64 = 0
  /// Packets taken from the core, of which the ring has taken the first ``sentCount`` bytes.
  private var unsent: [UInt8]
  private var sentCount = 0
  private var wantsToRead = true
  /// What the guest had done at its last event.
  private var lastSeen: XenStoreRingPage.GuestIndices?

  /// Goes on with the page as it is: with the indices that are in it, and with what it says of a broken connection. Bytes that wait in
  /// it are read in one of the loop's next turns.
  init(ring: StoreRing, domain: DomainID, address: XenStoreRingAddress, id: XenStoreConnectionID, server: XenStoreServer, unsent: [UInt8] = []) {
    self.domain = domain
    self.address = address
    self.server = server
    self.ring = ring
    self.unsent = unsent
    page = XenStoreRingPage(ring.page.bytes)
    requests = page.requestConsumer
    responses = page.responseProducer
    super.init(id: id)
    channel = LoopEventChannel(ring.channel, loop: server.loop) { [unowned self] in event() }
    page.serverFeatures = server.core.features(of: domain)
    if page.error != XenStoreRingError.none.rawValue { life = .broken }
    let end = PeerEnd(self, loop: server.loop)
    ring.channel.onPeerClosed { end.report() }
    // A guest may wait for the store to be there.
    channel.signal()
    scheduleReading(on: server.loop)
  }

  /// Carries the news that the guest's port is closed to the loop's thread.
  private final class PeerEnd: @unchecked Sendable {
    // SAFETY of @unchecked: `connection` is read on the loop's thread only, and written by nobody but its end.
    private weak var connection: RingConnection?
    private let loop: EventLoop

    init(_ connection: RingConnection, loop: EventLoop) {
      self.connection = connection
      self.loop = loop
    }

    func report() {
      loop.execute { [self] in
        if let connection, connection.life != .closed { connection.server.ended(connection) }
      }
    }
  }

  var counters: LoopEventChannel.Counters { channel.counters }

  // MARK: Output

  private var hasUnsentBytes: Bool { sentCount < unsent.count }

  override func deliver(from core: XenStoreCore) -> Delivery {
    var hasMoved = false
    defer { if hasMoved { channel.signal() } }
    while life == .open {
      refill(from: core)
      guard hasUnsentBytes else { return .all }
      do throws(ByteStreamFault) {
        let count = try responses.put(unsent, from: sentCount)
        guard count > 0 else { return .blocked }
        sentCount += count
        hasMoved = true
      } catch {
        markBroken(.ringIndex, "\(error)")
      }
    }
    return .all
  }

  private func refill(from core: XenStoreCore) {
    if !hasUnsentBytes {
      unsent = []
      sentCount = 0
    }
    while unsent.count - sentCount < RingConnection.unsentByteCount, let packet = core.nextOutput(for: id) {
      // Taking output lets held-back requests go on, and one of them may have ended this connection.
      guard life == .open else { return }
      unsent.append(contentsOf: packet)
    }
    if sentCount > 0 {
      unsent.removeFirst(sentCount)
      sentCount = 0
    }
  }

  override func update(isHeldBack: Bool) {
    let wantedToRead = wantsToRead
    wantsToRead = !hasUnsentBytes && !isHeldBack
    // The guest has signalled already what it put in meanwhile.
    if wantsToRead, !wantedToRead { scheduleReading(on: server.loop) }
  }

  // MARK: Input

  /// The guest has signalled: it has put requests in, taken responses out, or wants to begin again. One event brings in at most as much
  /// as the ring holds; what the guest puts in meanwhile has its own turn.
  private func event() {
    guard life != .closed else { return }
    let seen = page.guestIndices
    let wantsRestart = page.connection == .reconnect
    // A storm of events with nothing behind them is slowed down by the late end of each.
    let isSpurious = !wantsRestart && (life == .broken || seen == lastSeen)
    lastSeen = seen
    read()
    channel.rearm(spurious: isSpurious)
  }

  override func read() {
    if life != .closed, page.connection == .reconnect { restart() }
    if life == .open, hasUnsentBytes { server.resume(self) }
    if life == .open, wantsToRead { takeRequests() }
    guard wasEmptied else { return }
    // A connection that lost its transactions may have let others go on, who are told nowhere else.
    wasEmptied = false
    server.flush()
  }

  private func takeRequests() {
    let count: Int
    do throws(ByteStreamFault) {
      count = try requests.take(into: &server.inputBuffer.value, limit: XenStoreLimits.ringByteCount)
    } catch {
      return markBroken(.ringIndex, "\(error)")
    }
    guard count > 0 else { return }
    channel.signal()
    server.received(count, from: self)
    // A guest need not signal what it puts in while we are at it: Linux does so only if everything before was taken.
    if requests.mayHaveBytes { scheduleReading(on: server.loop) }
  }

  // MARK: The connection's life

  override func survives(_ fault: XenStoreConnectionFault) -> Bool {
    guard life != .closed else { return false }
    switch fault {
    case .payloadTooLong:
      markBroken(.protocolViolation, "\(fault)")
      return true
    case .eventsUnread:
      markBroken(.communication, "\(fault)")
      return true
    case .domainReleased: return false
    }
  }

  private func markBroken(_ error: XenStoreRingError, _ reason: String) {
    violationCount += 1
    // A guest can begin again and do it again as often as it likes: the 1st, 2nd, 4th, 8th time and so on are told.
    if violationCount.nonzeroBitCount == 1 {
      server.logger.warning(
        """
        store: domain \(domain) is ignored on its page of reference \(address.reference) until it begins again \
        (\(violationCount) times so far): \(reason)
        """)
    }
    life = .broken
    dropEverything()
    page.error = error.rawValue
    channel.signal()
  }

  private func restart() {
    dropEverything()
    life = .open
    wantsToRead = true
    page.serverFeatures = server.core.features(of: domain)
    page.restart()
    requests = page.requestConsumer
    responses = page.responseProducer
    channel.signal()
  }

  private func dropEverything() {
    wasEmptied = true
    unsent = []
    sentCount = 0
    server.core.restart(id)
  }

  override var migrated: XenStoreMigratedLink? {
    guard let ring else { return nil }
    return XenStoreMigratedLink(
      kind: .ring(domain: domain, target: nil, port: ring.channel.port.rawValue), unsentBytes: Array(unsent[sentCount...]), ring: address)
  }

  /// Tells the guest, if it still is there, and gives page and port back when the kernel has let go of the channel.
  override func close() {
    guard life != .closed else { return }
    life = .closed
    page.error = XenStoreRingError.communication.rawValue
    channel.signal()
    let ring = ring
    self.ring = nil
    ring?.channel.onPeerClosed(nil)
    channel.close { withExtendedLifetime(ring) {} }
  }
}
