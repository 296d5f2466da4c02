import EventLoop
@testable import NetFront
import NetInterface
import NetPackets
import PVDriver
import SharedMemory
import SharedRing
import SimulatedPlatform
import Testing
import XenInterface
import XenPlatform

/// A net front-end in domain 7 and a raw back in domain 0, in one process, on one thread, turned by hand.
final class FrontSystem {
  static let guest = DomainID(rawValue: 7)

  let hypervisor = SimulatedHypervisor(seed: 1)
  let loop: EventLoop
  let plane: NetFrontPlane
  let client = FrontClient()
  let reporter = NetFrontReporter()
  private(set) var backs: [RawBack] = []
  /// Nil without a control ring.
  private(set) var control: RawControlBack?
  var controlEnds: [NetFrontControl.Ending] = []
  /// Grants that the back-end kept when the last of these came.
  var keptCount = 0
  private let frontPlatform: SimulatedPlatform
  private let backPlatform: SimulatedPlatform
  private let frame: Frame
  var faults: [NetFrontFault] = []
  private(set) var stillMapped: Int?

  init(
    queueCount: Int = 1, split: Bool = true, capabilities: FrameCapabilities = .all, control hasControl: Bool = false,
    change: (inout NetFrontConfiguration) -> Void = { _ in }
  ) throws {
    frontPlatform = hypervisor.platform(for: Self.guest)
    backPlatform = hypervisor.platform(for: .control)
    loop = try EventLoop(name: "test")
    var configuration = NetFrontConfiguration()
    configuration.queueCount = queueCount
    configuration.polling = .never
    change(&configuration)
    plane = NetFrontPlane(configuration: configuration, reporter: reporter)
    frame = Frame(index: 0, head: try SharedRegion(anonymousByteCount: 1 << 17).bytes)
    plane.client = client
    client.plane = plane
    plane.onFault = { [unowned self] in faults.append($0) }
    plane.onControlEnd = { [unowned self] ending, count in
      controlEnds.append(ending)
      keptCount = count
    }
    loop.attach(plane)
    try connect(queueCount: queueCount, split: split, capabilities: capabilities, control: hasControl)
  }

  func connect(queueCount: Int = 1, split: Bool = true, capabilities: FrameCapabilities = .all, control hasControl: Bool = false) throws {
    stillMapped = nil
    let arenas = try NetFrontArenas(frontPlatform, for: .control, queueCount: queueCount, hasControl: hasControl, plane.configuration)
    let channels = try (0..<queueCount).map { _ in
      try (0..<(split ? 2 : 1)).map { _ in try frontPlatform.allocateUnboundChannel(for: .control) }
    }
    let controlChannel = try frontPlatform.allocateUnboundChannels(hasControl ? 1 : 0, for: .control).first
    let connection = try NetFrontConnection(
      arenas: arenas, channels: channels, control: controlChannel, capabilities: capabilities, configuration: plane.configuration, loop: loop)
    plane.prepare(connection)
    let grants = try backPlatform.foreignGrants(of: Self.guest)
    backs = try connection.queues.map { queue in try RawBack(queue.transmitRingReference, queue.receiveRingReference, grants) }
    control = try connection.control.map { control in try RawControlBack(control.ringReference, grants) }
    plane.start(NetFrontLink(address: nil, mtu: 1500, isUp: true, queueCount: queueCount, capabilities: capabilities))
  }

  var back: RawBack { backs[0] }

  func turn(_ count: Int = 3) { for _ in 0..<count { loop.turn(maySleep: false) } }

  /// Sends `bytes` as the user of the front-end.
  @discardableResult
  func send(_ bytes: [UInt8], offload: FrameOffload = FrameOffload(), queue: Int = 0) -> NetFrontPlane.TransmitOutcome {
    let head = min(bytes.count, Frame.headCapacity)
    frame.head.copyIn(bytes, at: 0)
    frame.reset(headByteCount: head)
    if bytes.count > head { frame.append(frame.head.vector(at: head, byteCount: bytes.count - head)) }
    frame.offload = offload
    let outcome = plane.transmit(frame, queue: queue)
    plane.publish()
    return outcome
  }

  func disconnect() {
    plane.disconnect { [unowned self] in stillMapped = $0 }
    for _ in 0..<20 where stillMapped == nil { loop.turn(maySleep: false) }
  }

  /// The back-end gives everything back.
  func letGo() {
    for back in backs { back.unmap() }
    backs = []
    control?.unmap()
    control = nil
  }

  /// Ends everything and checks that nothing is left behind.
  func finish(stillMapped expected: Int = 0, sourceLocation: SourceLocation = #_sourceLocation) {
    letGo()
    disconnect()
    #expect(stillMapped == expected, sourceLocation: sourceLocation)
    plane.close()
    loop.detach(plane)
    if expected == 0 { #expect(hypervisor.ledger[.control] == ResourceLedger.Account(), sourceLocation: sourceLocation) }
    loop.shutDown()
  }
}

/// What the front-end hands over.
final class FrontClient: NetFrontClient {
  weak var plane: NetFrontPlane?
  var received: [[UInt8]] = []
  var offloads: [FrameOffload] = []
  var outcome = ReceiveOutcome.taken
  /// The same in turns, in place of ``outcome``.
  var outcomes: [ReceiveOutcome] = []
  var held: [Frame] = []
  var readyCount = 0
  var links: [Bool] = []
  var batchCount = 0

  override func received(_ frame: Frame, queue: Int) -> ReceiveOutcome {
    guard let copy = try? SharedRegion(anonymousByteCount: 1 << 17).bytes else { return .dropped }
    frame.copy(from: 0, byteCount: frame.byteCount, to: copy, at: 0)
    if !outcomes.isEmpty { outcome = outcomes[received.count % outcomes.count] }
    received.append(copy.copyOut(at: 0, byteCount: frame.byteCount))
    offloads.append(frame.offload)
    if case .held = outcome { held.append(frame) }
    return outcome
  }
  override func endOfReceiveBatch() { batchCount += 1 }
  override func transmitReady(queue: Int) { readyCount += 1 }
  override func linkChanged(isUp: Bool) { links.append(isUp) }
}

/// The back's ends of one queue's rings, without any manners of its own.
final class RawBack {
  private let transmit: MappedBackRing<NetifTransmitRequest, NetifTransmitResponse>
  private let receive: MappedBackRing<NetifReceiveRequest, NetifReceiveResponse>
  /// The shared page of each ring, for lies.
  let transmitMemory: SharedBytes
  let receiveMemory: SharedBytes
  private let grants: ForeignGrants

  init(_ transmit: GrantReference, _ receive: GrantReference, _ grants: ForeignGrants) throws {
    self.grants = grants
    let transmitMapping = try grants.mapContiguously([transmit])
    let receiveMapping = try grants.mapContiguously([receive])
    transmitMemory = transmitMapping.bytes
    receiveMemory = receiveMapping.bytes
    self.transmit = try MappedBackRing(transmitMapping)
    self.receive = try MappedBackRing(receiveMapping)
  }

  func unmap() {
    transmit.unmap()
    receive.unmap()
  }

  /// Transmit slots that are there, as they are.
  func takeSlots() throws -> [NetifTransmitRequest] {
    var slots: [NetifTransmitRequest] = []
    while let slot = try transmit.cell.value.takeRequest() { slots.append(slot) }
    return slots
  }

  /// The bytes of a page that the front-end granted, for reading.
  func bytes(_ reference: GrantReference, _ offset: Int, _ count: Int) throws -> [UInt8] {
    let page = try grants.map(reference, writable: false)
    defer { grants.unmap(page) }
    return grants.bytes(of: page).copyOut(at: offset, byteCount: count)
  }

  func mapForEver(_ reference: GrantReference) throws -> MappedPage { try grants.map(reference, writable: false) }
  func giveBack(_ page: MappedPage) { grants.unmap(page) }
  func mayWrite(_ reference: GrantReference) -> Bool {
    guard let page = try? grants.map(reference, writable: true) else { return false }
    grants.unmap(page)
    return true
  }

  func answer(_ identifier: UInt16, _ status: NetifStatus = .okay) {
    transmit.cell.value.putResponse(NetifTransmitResponse(identifier: identifier, status: status))
    _ = transmit.cell.value.publishResponses()
  }

  var postedCount: Int { (try? receive.cell.value.waitingRequestCount(wanted: 256)) ?? -1 }

  /// Receives `bytes` for the guest, in one piece a page; `change` may spoil the responses.
  func deliver(_ bytes: [UInt8], offload: FrameOffload = FrameOffload(), change: (inout [NetifReceiveResponse]) -> Void = { _ in }) throws {
    let slots = try #require(ReceiveSlots(byteCount: bytes.count, offload: offload))
    var responses: [NetifReceiveResponse] = []
    for index in 0..<slots.count {
      let request = try #require(try receive.cell.value.takeRequest())
      if index > 0, index <= slots.extraCount {
        responses.append(slots.extra(index - 1))
        continue
      }
      let piece = index == 0 ? 0 : index - slots.extraCount
      let page = try grants.map(request.grantReference, writable: true)
      let start = slots.start(ofPiece: piece)
      grants.bytes(of: page).copyIn(Array(bytes[start..<start + slots.byteCount(ofPiece: piece)]), at: slots.offset)
      grants.unmap(page)
      responses.append(slots.response(piece, identifier: request.identifier))
    }
    change(&responses)
    for response in responses { receive.cell.value.putResponse(response) }
    _ = receive.cell.value.publishResponses()
  }

  /// Puts responses as they are, each for one posted page.
  func put(_ responses: [NetifReceiveResponse]) throws {
    for response in responses {
      _ = try #require(try receive.cell.value.takeRequest())
      receive.cell.value.putResponse(response)
    }
    _ = receive.cell.value.publishResponses()
  }
}

extension NetifReceiveResponse {
  static func made(status: Int16, offset: UInt16 = 0, flags: NetifReceiveFlags = []) -> NetifReceiveResponse {
    var response = NetifReceiveResponse()
    response.status = status
    response.offset = offset
    response.flags = flags.rawValue
    return response
  }
}

func pattern(_ count: Int) -> [UInt8] { (0..<count).map { $0 == 0 ? 0 : UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) } }
