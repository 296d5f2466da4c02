public import SharedMemory
public import SharedRing
import XenInterface
public import XenPlatform

// Streams whose rings a page of their own describes (`DEFINE_XEN_FLEX_RING_AND_INTF`): 9pfs, and drivers with `transport: byte-stream`.

extension GrantedStreamMemory {
  /// Describes the pages behind the first one in that, which is zero so far. The front-end's side.
  public func layOutFlexRing() -> ByteStreamPair {
    let references = Array(references.dropFirst())
    return FlexRingPage(page).initializedFront(order: references.count.trailingZeroBitCount, data: data, references: references)
  }
}

extension MappedStreamMemory {
  /// Maps the rings that `page` describes. What stands there is the peer's word. The back-end's side.
  /// - Parameter maximumOrder: the largest pair of rings that was offered, as log2 of pages.
  public func attachFlexRing(
    _ page: SharedBytes, _ grants: ForeignGrants, stream: Int, maximumOrder: Int
  ) throws(ByteStreamConnectError) -> ByteStreamPair {
    let description = FlexRingPage(page)
    let order = description.readOrder()
    guard order >= UInt32(NinePLimits.minimumRingPageOrder), order <= UInt32(maximumOrder) else {
      throw .badPage(stream: stream, field: "ring_order", value: order, expected: "\(NinePLimits.minimumRingPageOrder) to \(maximumOrder)")
    }
    return description.back(order: Int(order), data: try map(description.readReferences(order: Int(order)), grants, stream: stream))
  }
}
