import NetInterface
import PVDriver
import SharedMemory
import SharedRing
import Testing
import XenInterface
import XenPlatform

/// The back's end of a control ring: keeps nothing, and takes down what it was asked to keep.
final class RawControlBack {
  private let ring: MappedBackRing<NetifControlRequest, NetifControlResponse>
  /// The shared page, for lies.
  private let memory: SharedBytes
  private let grants: ForeignGrants
  /// Requests so far.
  private(set) var requestCount = 0
  /// What each queue's requests named.
  private(set) var portions: [Int: [[NetifGrantMapping]]] = [:]
  /// The front-end asked for an event at the last answer.
  private(set) var eventIsDue = false

  init(_ reference: GrantReference, _ grants: ForeignGrants) throws {
    self.grants = grants
    let mapping = try grants.mapContiguously([reference])
    memory = mapping.bytes
    ring = try MappedBackRing(mapping)
  }

  func unmap() { ring.unmap() }

  /// Answers the request that is there, as a back-end that keeps `capacity` grants of each queue; `change` may spoil the answer. Returns
  /// whether there was one.
  func serve(keeping capacity: UInt32, change: (_ number: Int, inout NetifControlResponse) -> Void = { _, _ in }) throws -> Bool {
    guard let request = try ring.cell.value.takeRequest() else { return false }
    let another = try ring.cell.value.takeRequest()
    #expect(another == nil, "one at a time")
    var response = NetifControlResponse(to: request, .success)
    switch try NetControlRequest(checking: request, NetControlLimits(queueCount: 16)) {
    case .grantMappingSize: response.data = capacity
    case .addGrantMappings(let queue, let table, let entryCount): portions[queue, default: []].append(try entries(table, entryCount))
    default: Issue.record("asked for \(request)")
    }
    change(requestCount, &response)
    requestCount += 1
    ring.cell.value.putResponse(response)
    eventIsDue = ring.cell.value.publishResponses()
    return true
  }

  /// Claims to have answered more than was asked.
  func lieAboutResponses() { memory.store32(100, at: 8) }

  /// Copies entries out, and leaves nonsense there.
  private func entries(_ table: GrantReference, _ count: Int) throws -> [NetifGrantMapping] {
    let page = try grants.map(table, writable: true)
    defer { grants.unmap(page) }
    let bytes = grants.bytes(of: page)
    let entries = (0..<count).map { NetifGrantMapping(copying: bytes, at: $0 * NetifGrantMapping.byteCount) }
    bytes.copyIn([UInt8](repeating: 0xff, count: pageByteCount), at: 0)
    return entries
  }
}
