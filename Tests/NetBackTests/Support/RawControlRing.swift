import SharedMemory
import SharedRing
import Testing
import XenInterface
import XenPlatform

/// The front's end of a control ring.
final class RawControlRing {
  let page: Int
  let channel: EventChannel
  let memory: SharedBytes
  private var ring: FrontRing<NetifControlRequest, NetifControlResponse>
  private var lastIdentifier: UInt16 = 0

  init(arena: GrantArena, channel: EventChannel) {
    guard let page = arena.allocatePage() else { fatalError("the arena is too small") }
    self.page = page
    self.channel = channel
    memory = arena.bytes.slice(at: page * pageByteCount, byteCount: pageByteCount)
    ring = FrontRing(initializing: memory, entryByteCount: 16, startingAt: .max - 5)
    arena.grant(page: page)
  }

  func put(_ type: UInt16, _ data: [UInt32]) {
    lastIdentifier &+= 1
    var request = NetifControlRequest()
    request.identifier = lastIdentifier
    request.type = type
    for (index, value) in data.enumerated() { request.setData(value, at: index) }
    ring.putRequest(request)
    _ = ring.publishRequests()
  }

  func take() throws -> NetifControlResponse? { try ring.takeResponse() }
}

extension VifSystem {
  struct ControlAnswer: Equatable {
    var status: NetifControlStatus?
    var data: UInt32
  }

  /// Sends a control request and waits for its answer.
  func configure(_ type: NetifControlType, _ data: UInt32...) throws -> ControlAnswer? { try configure(type.rawValue, data) }

  func configure(_ type: UInt16, _ data: [UInt32]) throws -> ControlAnswer? {
    control?.put(type, data)
    for _ in 0..<20 {
      turn(1)
      if let response = try control?.take() { return ControlAnswer(status: NetifControlStatus(rawValue: response.status), data: response.data) }
    }
    return nil
  }

  /// A page of entries for grants.
  func grantTable(_ entries: [(GrantReference, UInt16)]) -> (page: Int, reference: UInt32) {
    let page = newPage()
    for (index, (reference, flags)) in entries.enumerated() {
      var entry = NetifGrantMapping()
      entry.grantReference = reference
      entry.flags = flags
      entry.status = 0xffff
      entry.store(to: arena.bytes, at: page * pageByteCount + index * NetifGrantMapping.byteCount)
    }
    return (page, arena.grant(page: page).rawValue)
  }

  /// Grants pages, and has them kept mapped for the first queue. Returns the page that names them; nil when there are none.
  @discardableResult func keep(_ pages: some Collection<Int>, readOnly: Bool) throws -> UInt32? {
    if pages.isEmpty { return nil }
    let flags = readOnly ? NetifGrantMappingFlags.readOnly.rawValue : 0
    let (_, reference) = grantTable(pages.map { (arena.grant(page: $0, readOnly: readOnly), flags) })
    let answer = try configure(.addGrantMapping, 0, reference, UInt32(pages.count))
    #expect(answer?.status == .success)
    return reference
  }
}
