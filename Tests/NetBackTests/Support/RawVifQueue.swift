import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// The front's end of a queue, without any of a front-end's care: whatever a test puts goes out.
final class RawVifQueue {
  let transmitPage: Int
  let receivePage: Int
  let arena: GrantArena
  /// One for both rings, or one each.
  let channels: [EventChannel]
  private var transmit: FrontRing<NetifTransmitRequest, NetifTransmitResponse>
  private var receive: FrontRing<NetifReceiveRequest, NetifReceiveResponse>
  /// The page that was posted in each slot of the receive ring.
  private var posted = [Int](repeating: -1, count: 256)
  private var nextPosted: RingIndex = .max - 5

  init(arena: GrantArena, channels: [EventChannel]) {
    guard let transmitPage = arena.allocatePage(), let receivePage = arena.allocatePage() else { fatalError("the arena is too small") }
    self.arena = arena
    self.channels = channels
    self.transmitPage = transmitPage
    self.receivePage = receivePage
    transmit = FrontRing(
      initializing: arena.bytes.slice(at: transmitPage * pageByteCount, byteCount: pageByteCount), entryByteCount: 12, startingAt: .max - 5)
    receive = FrontRing(
      initializing: arena.bytes.slice(at: receivePage * pageByteCount, byteCount: pageByteCount), entryByteCount: 8, startingAt: .max - 5)
    grantRings()
  }

  func grantRings() {
    arena.grant(page: transmitPage)
    arena.grant(page: receivePage)
  }

  var transmitMemory: SharedBytes { arena.bytes.slice(at: transmitPage * pageByteCount, byteCount: pageByteCount) }
  var receiveMemory: SharedBytes { arena.bytes.slice(at: receivePage * pageByteCount, byteCount: pageByteCount) }

  // MARK: To the host

  var freeTransmitCount: Int { transmit.freeRequestCount }
  var outstandingTransmitCount: Int { transmit.outstandingCount }

  func put(_ slots: [NetifTransmitRequest]) {
    for slot in slots { transmit.putRequest(slot) }
    _ = transmit.publishRequests()
  }

  func takeTransmitResponses() throws -> [NetifTransmitResponse] {
    var responses: [NetifTransmitResponse] = []
    while let response = try transmit.takeResponse() { responses.append(response) }
    return responses
  }

  // MARK: From the host

  var freeReceiveCount: Int { receive.freeRequestCount }

  /// Posts pages, which are granted for writing.
  func post(_ pages: [Int]) { post(pages.map { ($0, arena.grant(page: $0)) }) }

  func post(_ buffers: [(page: Int, reference: GrantReference)]) {
    for (page, reference) in buffers {
      var request = NetifReceiveRequest()
      request.identifier = UInt16(nextPosted & 255)
      request.grantReference = reference
      posted[Int(nextPosted & 255)] = page
      nextPosted &+= 1
      receive.putRequest(request)
    }
    _ = receive.publishRequests()
  }

  /// Writes another page into the slot of the page that was posted as number `position` of all, as an honest guest never does.
  func rename(posted position: Int, page: Int) {
    rename(posted: position, reference: arena.grant(page: page))
    posted[Self.slot(ofPosted: position)] = page
  }

  func rename(posted position: Int, reference: GrantReference) {
    receiveMemory.store32(reference.rawValue, at: 64 + Self.slot(ofPosted: position) * NetifLimits.receiveSlotByteCount + 4)
  }

  private static func slot(ofPosted position: Int) -> Int { Int((RingIndex.max - 5 &+ UInt32(position)) & 255) }

  /// The next response and the page of its slot.
  func takeReceived() throws -> (response: NetifReceiveResponse, slot: Int, page: Int)? {
    let slot = Int(receive.nextResponseIndex & 255)
    guard let response = try receive.takeResponse() else { return nil }
    return (response, slot, posted[slot])
  }

  /// All frames that have come, put together as the wire format says, without trust in the code that is tested.
  func takeFrames() throws -> [ReceivedFrame] {
    var frames: [ReceivedFrame] = []
    while let first = try takeReceived() {
      var frame = ReceivedFrame()
      frame.flags = NetifReceiveFlags(rawValue: first.response.flags)
      try frame.add(first, arena)
      var more = frame.flags.contains(.moreData)
      var extras = frame.flags.contains(.extraInfo)
      while extras, let slot = try takeReceived() {
        let extra = NetifExtraInfo(slot: slot.response)
        frame.extras.append(extra)
        extras = NetifExtraFlags(rawValue: extra.flags).contains(.more)
      }
      while more, let slot = try takeReceived() {
        try frame.add(slot, arena)
        more = NetifReceiveFlags(rawValue: slot.response.flags).contains(.moreData)
      }
      frames.append(frame)
    }
    return frames
  }
}

struct ReceivedFrame {
  var bytes: [UInt8] = []
  var flags: NetifReceiveFlags = []
  var extras: [NetifExtraInfo] = []
  var offsets: [Int] = []
  var statuses: [Int] = []

  struct WrongSlot: Error { var identifier: UInt16, slot: Int }

  mutating func add(_ slot: (response: NetifReceiveResponse, slot: Int, page: Int), _ arena: GrantArena) throws {
    guard Int(slot.response.identifier) == slot.slot else { throw WrongSlot(identifier: slot.response.identifier, slot: slot.slot) }
    let status = Int(slot.response.status)
    offsets.append(Int(slot.response.offset))
    statuses.append(status)
    if status > 0 { bytes += arena.bytes.copyOut(at: slot.page * pageByteCount + Int(slot.response.offset), byteCount: status) }
  }
}
