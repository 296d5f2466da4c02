import EventLoop
import NetInterface
import PVDriver
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// The control ring of a vif, and what its front-end has set up by it: how frames are hashed to queues, and grants that stay mapped.
final class NetControl {
  let ring: MappedBackRing<NetifControlRequest, NetifControlResponse>
  var channel: LoopEventChannel?
  var fault: RingFault?
  var sawRequests = false
  let queueCount: Int
  /// How frames for the guest are spread over its queues.
  private(set) var hashing = HashSettings()
  /// Grants that stay mapped, of each queue.
  private let kept: [KeptGrants]

  /// Maps the ring.
  init(_ reference: GrantReference, kept: [KeptGrants], grants: ForeignGrants) throws(NetConnectError) {
    queueCount = kept.count
    self.kept = kept
    let mapping: GrantMapping
    do throws(GrantError) { mapping = try grants.mapContiguously([reference]) } catch { throw .ringNotMapped(.control, queue: 0, error) }
    do throws(RingFault) { ring = try MappedBackRing(mapping) } catch { throw .ringBroken(.control, queue: 0, error) }
  }

  func unmap() { ring.unmap() }

  /// Does what a request asks for and returns the response's data. Pages that it names are mapped for as long as they are copied.
  func execute(_ request: NetControlRequest, _ grants: ForeignGrants) throws(NetControlRefusal) -> UInt32 {
    switch request {
    case .hashTypes: return HashSettings.knownTypes.rawValue
    case .setHashTypes(let types): hashing.types = types
    case .setHashKey(let reference, let byteCount): hashing.setKey(try bytes(of: reference, byteCount, grants))
    case .hashMappingSize: return UInt32(NetifLimits.hashMappingEntryCount)
    case .setHashMappingSize(let entryCount): hashing.mapping = Array(repeating: 0, count: entryCount)
    case .setHashMapping(let reference, let entryCount, let firstEntry):
      try setMapping(bytes(of: reference, entryCount * 4, grants), firstEntry)
    case .setHashAlgorithm(let algorithm): hashing.algorithm = algorithm
    case .grantMappingSize: return UInt32(KeptGrants.capacity)
    case .addGrantMappings(let queue, let reference, let entryCount):
      try kept[queue].add(table(reference, entryCount, grants), grants)
    case .removeGrantMappings(let queue, let reference, let entryCount):
      return try kept[queue].remove(reference, entryCount, grants)
    }
    return 0
  }

  /// What control requests are held against now.
  var limits: NetControlLimits {
    NetControlLimits(queueCount: queueCount, hashMappingEntryCount: hashing.mapping.count, hashTypes: HashSettings.knownTypes)
  }

  /// Takes over queue numbers, all or none.
  private func setMapping(_ bytes: [UInt8], _ firstEntry: Int) throws(NetControlRefusal) {
    var numbers: [Int] = []
    for start in stride(from: 0, to: bytes.count, by: 4) {
      let number = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
      guard number < queueCount else { throw NetControlRefusal(.invalidParameter) }
      numbers.append(Int(number))
    }
    hashing.mapping.replaceSubrange(firstEntry..<firstEntry + numbers.count, with: numbers)
  }

  /// Copies the start of a page, once.
  private func bytes(of reference: GrantReference, _ byteCount: Int, _ grants: ForeignGrants) throws(NetControlRefusal) -> [UInt8] {
    if byteCount == 0 { return [] }
    do throws(GrantError) {
      let page = try grants.map(reference, writable: false)
      defer { grants.unmap(page) }
      return grants.bytes(of: page).copyOut(at: 0, byteCount: byteCount)
    } catch {
      throw NetControlRefusal(.invalidParameter)
    }
  }

  private func table(_ reference: GrantReference, _ entryCount: Int, _ grants: ForeignGrants) throws(NetControlRefusal) -> [NetifGrantMapping] {
    do throws(GrantError) {
      let page = try grants.map(reference, writable: false)
      defer { grants.unmap(page) }
      let bytes = grants.bytes(of: page)
      return (0..<entryCount).map { NetifGrantMapping(copying: bytes, at: $0 * NetifGrantMapping.byteCount) }
    } catch {
      throw NetControlRefusal(.invalidParameter)
    }
  }
}
