import EventLoop
import Logging
@testable import NetBack
import NetEngine
import NetInterface
import NetPackets
import SharedMemory
import SharedRing
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform

/// A net back-end in domain 0 and a raw front in domain 7, in one process, on one thread, turned by hand.
final class VifSystem {
  static let guest = DomainID(rawValue: 7)

  let hypervisor = SimulatedHypervisor(seed: 1)
  let backPlatform: SimulatedPlatform
  let loop: EventLoop
  let port: RecordingPort
  let arena: GrantArena
  private(set) var queues: [RawVifQueue] = []
  private(set) var control: RawControlRing?
  private(set) var plane: NetBackPlane?
  var faults: [NetBackFault] = []
  /// Pages still mapped after the last disconnect; nil while it is under way.
  private(set) var leakedPageCount: Int? = 0
  private let settings: NetBackPlane.Settings
  private let logger: Logger
  private let ownsLoop: Bool
  private var time: UInt64 = 1_000_000_000

  init(
    queueCount: Int = 1, split: Bool = false, control wantsControl: Bool = false, acceptance: NetAcceptance = NetAcceptance(capabilities: .all),
    rate: RateLimit? = nil, arenaPageCount: Int = 700, loop shared: EventLoop? = nil, port: RecordingPort = RecordingPort(),
    logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, configure: (inout NetBackConfiguration) -> Void = { _ in }
  ) throws {
    let front = hypervisor.platform(for: Self.guest)
    backPlatform = hypervisor.platform(for: .control)
    ownsLoop = shared == nil
    loop = try shared ?? EventLoop(name: "test")
    self.port = port
    self.logger = logger
    arena = try front.makeGrantArena(for: .control, access: .readWrite, pageCount: arenaPageCount)
    var configuration = NetBackConfiguration()
    configuration.polling = .never
    configure(&configuration)
    settings = NetBackPlane.Settings(acceptance: acceptance, rate: rate, configuration: configuration)
    for _ in 0..<queueCount {
      let channels = try (0..<(split ? 2 : 1)).map { _ in try front.allocateUnboundChannel(for: .control) }
      queues.append(RawVifQueue(arena: arena, channels: channels))
    }
    if wantsControl { control = RawControlRing(arena: arena, channel: try front.allocateUnboundChannel(for: .control)) }
    try connect()
  }

  var transport: NetTransport {
    NetTransport(
      queues: queues.map { queue in
        NetTransport.Queue(
          transmitRingReference: arena.reference(ofPage: queue.transmitPage), receiveRingReference: arena.reference(ofPage: queue.receivePage),
          ports: queue.channels.count == 1
            ? .shared(queue.channels[0].port) : .split(transmit: queue.channels[0].port, receive: queue.channels[1].port))
      }, control: control.map { NetTransport.Control(ringReference: arena.reference(ofPage: $0.page), port: $0.channel.port) })
  }

  func connect() throws {
    var channels = NetChannels()
    channels.queues = try queues.map { try $0.channels.map { try backPlatform.bindInterdomainChannel(remote: Self.guest, port: $0.port) } }
    channels.control = try control.map { try backPlatform.bindInterdomainChannel(remote: Self.guest, port: $0.channel.port) }
    plane = try NetBackPlane(
      port: port, loop: loop, grants: try backPlatform.foreignGrants(of: Self.guest), transport: transport, channels: channels,
      settings: settings, logger: logger, onFault: { [unowned self] _, fault in faults.append(fault) }, onCarrier: { _ in })
    plane?.clock.set(nanoseconds: time)
  }

  func beginDisconnect() {
    leakedPageCount = nil
    plane?.stop { [unowned self] leaked in
      leakedPageCount = leaked
      plane = nil
    }
  }

  func disconnect() {
    beginDisconnect()
    while leakedPageCount == nil { loop.turn(maySleep: false) }
  }

  /// Ends everything and checks that nothing is left behind.
  func finish(sourceLocation: SourceLocation = #_sourceLocation) {
    if plane != nil { disconnect() }
    #expect(leakedPageCount == 0, sourceLocation: sourceLocation)
    #expect(hypervisor.ledger[.control] == ResourceLedger.Account(), sourceLocation: sourceLocation)
    let mapped = (0..<arena.pageCount).filter { !arena.endAccess(page: $0) }
    #expect(mapped.isEmpty, "pages that are still mapped", sourceLocation: sourceLocation)
    if ownsLoop { loop.shutDown() }
  }

  // MARK: Time

  func turn(_ count: Int = 3) { for _ in 0..<count { loop.turn(maySleep: false) } }

  func advance(nanoseconds: UInt64) {
    time += nanoseconds
    plane?.clock.set(nanoseconds: time)
  }

  // MARK: Frames

  var counters: NetQueueCounters { plane?.counters ?? NetQueueCounters() }
  /// Pages of the guest that are mapped for frames: all but the rings.
  var mappedForFrames: Int { (plane?.grants.mappedPageCount ?? 0) - 2 * queues.count - (control == nil ? 0 : 1) }

  func newPage() -> Int {
    guard let page = arena.allocatePage() else { fatalError("the arena is too small") }
    return page
  }

  func newPages(_ count: Int) -> [Int] { (0..<count).map { _ in newPage() } }

  /// Slots of a frame in pieces of these sizes (each in a page of its own, from `offset` on), filled with its bytes.
  func slots(
    _ bytes: [UInt8], pieces: [Int]? = nil, pages: [Int]? = nil, offset: Int = 0, flags: NetifTransmitFlags = [], extras: [NetifExtraInfo] = [],
    identifier: Int = 0
  ) -> [NetifTransmitRequest] {
    let sizes = pieces ?? Self.pageSizes(bytes.count)
    let pages = pages ?? newPages(sizes.count)
    var slots: [NetifTransmitRequest] = []
    var start = 0
    for (index, size) in sizes.enumerated() {
      if size > 0 { arena.bytes.copyIn(Array(bytes[start..<start + size]), at: pages[index] * pageByteCount + offset) }
      start += size
      var request = NetifTransmitRequest()
      request.grantReference = arena.grant(page: pages[index], readOnly: true)
      request.offset = UInt16(offset)
      request.byteCount = UInt16(index == 0 ? bytes.count : size)
      request.identifier = UInt16(identifier + index)
      var own: NetifTransmitFlags = index + 1 < sizes.count ? .moreData : []
      if index == 0 {
        own.formUnion(flags)
        if !extras.isEmpty { own.insert(.extraInfo) }
      }
      request.flags = own.rawValue
      slots.append(request)
      if index == 0 {
        for (number, extra) in extras.enumerated() {
          var extra = extra
          extra.flags = number + 1 < extras.count ? NetifExtraFlags.more.rawValue : 0
          slots.append(NetifTransmitRequest(extra))
        }
      }
    }
    return slots
  }

  private static func pageSizes(_ byteCount: Int) -> [Int] {
    stride(from: 0, to: max(byteCount, 1), by: pageByteCount).map { min(pageByteCount, byteCount - $0) }
  }

  /// Sends slots and waits until as many have been answered.
  func perform(_ slots: [NetifTransmitRequest], on queue: Int = 0) throws -> [NetifTransmitResponse] {
    queues[queue].put(slots)
    return try responses(slots.count, of: queue)
  }

  func responses(_ count: Int, of queue: Int = 0) throws -> [NetifTransmitResponse] {
    var responses: [NetifTransmitResponse] = []
    var turns = 0
    while responses.count < count, turns < 200 {
      loop.turn(maySleep: false)
      responses += try queues[queue].takeTransmitResponses()
      turns += 1
    }
    return responses
  }

  /// The statuses of the answers to slots.
  func statuses(_ slots: [NetifTransmitRequest], on queue: Int = 0) throws -> [NetifStatus?] {
    try perform(slots, on: queue).map { NetifStatus(rawValue: $0.status) }
  }

  /// Shows that the vif still serves both ways.
  func expectAlive(queue: Int = 0, sourceLocation: SourceLocation = #_sourceLocation) throws {
    port.outcome = .done
    let frame = Frames.ethernet(byteCount: 77)
    let sent = try statuses(slots(frame), on: queue)
    #expect(sent == [.okay], sourceLocation: sourceLocation)
    #expect(port.frames.last?.bytes == frame, sourceLocation: sourceLocation)
  }
}
