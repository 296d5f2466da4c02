import PVDriver
import SharedMemory
import SharedRing
import XenInterface
import XenPlatform

/// The ring in the layout that the front-end chose. Whatever that is, requests come out in the x86_64 layout.
///
/// Two optional references instead of a generic parameter, so that everything behind it is compiled once, for concrete types.
struct AnyBlkifRing {
  private let native: MappedBackRing<BlkifRequest, BlkifResponse>?
  private let narrow: MappedBackRing<BlkifRequestX8632, BlkifResponseX8632>?

  /// Attaches to the ring in `mapping`. Throws when its indices are impossible.
  init(_ mapping: consuming GrantMapping, layout: BlkifProtocol) throws(RingFault) {
    switch layout {
    case .x8664, .arm:
      native = try MappedBackRing(mapping)
      narrow = nil
    case .x8632:
      native = nil
      narrow = try MappedBackRing(mapping)
    }
  }

  private var other: MappedBackRing<BlkifRequestX8632, BlkifResponseX8632> {
    guard let narrow else { preconditionFailure("a ring without a layout") }
    return narrow
  }

  var entryCount: Int { native?.cell.value.entryCount ?? other.cell.value.entryCount }
  var unansweredCount: Int { native?.cell.value.unansweredCount ?? other.cell.value.unansweredCount }

  @inline(__always) func hasRequests() -> Bool {
    if let native { return native.cell.value.hasRequests() }
    return other.cell.value.hasRequests()
  }

  /// Copies the next request out, as `BackRing.takeRequest()` does.
  @inline(__always) func takeRequest() throws(RingFault) -> BlkifRequest? {
    if let native { return try native.cell.value.takeRequest() }
    guard let request = try other.cell.value.takeRequest() else { return nil }
    return Self.translated(request)
  }

  @inline(__always) func putResponse(_ response: BlkifResponse) {
    if let native { return native.cell.value.putResponse(response) }
    other.cell.value.putResponse(BlkifResponseX8632(response))
  }

  /// Shows the responses to the front-end; true when it wants a signal.
  @inline(__always) func publishResponses() -> Bool {
    if let native { return native.cell.value.publishResponses() }
    return other.cell.value.publishResponses()
  }

  func armRequestEvent() throws(RingFault) -> Bool {
    if let native { return try native.cell.value.armRequestEvent() }
    return try other.cell.value.armRequestEvent()
  }

  func unmap() {
    native?.unmap()
    narrow?.unmap()
  }

  /// The operation, copied already, says which message the slot holds.
  private static func translated(_ slot: BlkifRequestX8632) -> BlkifRequest {
    switch BlkifOperation(rawValue: slot.operation) {
    case .indirect: BlkifRequest(BlkifRequestIndirect(slot))
    case .discard: BlkifRequest(BlkifRequestDiscard(slot))
    case .read, .write, .writeBarrier, .flush, .reserved, nil: BlkifRequest(slot)
    }
  }
}
