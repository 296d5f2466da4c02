public import PVDriver
public import SharedRing
import XenInterface
public import Xenbus

/// A shared directory as its guest has it: one pair of rings.
public struct NinePFrontendDevice: ByteStreamFrontendDevice {
  private let wantedOrder: Int

  /// - Parameter order: of the pair of rings that is wanted; the back-end may offer less.
  public init(order: Int = 6) {
    precondition((NinePLimits.minimumRingPageOrder...NinePLimits.maximumRingPageOrder).contains(order), "an order that fits the page")
    wantedOrder = order
  }

  public func plan(for backend: XenbusDirectory) throws -> ByteStreamPlan {
    typealias Keys = NinePKeys.Backend
    guard try backend.value(Keys.versions).split(separator: ",").contains("1") else { throw backend.error(Keys.versions.name, expected: "a list with 1") }
    let order = min(wantedOrder, Int(clamping: try backend.value(Keys.maximumRingPageOrder)))
    return ByteStreamPlan(streamCount: 1, pageCount: 1 + 1 << order)
  }

  public func layOut(_ memory: GrantedStreamMemory) -> ByteStreamPair {
    memory.layOutFlexRing()
  }

  public func keys(_ streams: [PublishedByteStream]) -> [String: String] {
    typealias Keys = NinePKeys.Frontend
    var keys = [Keys.version.name: "1", Keys.ringCount.name: Keys.ringCount.format(UInt32(streams.count))]
    for (index, stream) in streams.enumerated() {
      keys[Keys.ringReference[index].name] = Keys.ringReference[index].format(stream.reference)
      keys[Keys.eventChannel[index].name] = Keys.eventChannel[index].format(stream.port)
    }
    return keys
  }
}
