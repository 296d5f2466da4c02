public import PVDriver
public import SharedMemory
public import SharedRing
import XenInterface
public import XenPlatform
public import Xenbus

/// A shared directory as its back-end has it: a pair of rings.
public struct NinePBackendDevice: ByteStreamBackendDevice {
  private let maximumOrder: Int

  /// - Parameter maximumOrder: largest pair of rings that is offered, 1 to 9.
  public init(maximumOrder: Int = 6) {
    precondition((NinePLimits.minimumRingPageOrder...NinePLimits.maximumRingPageOrder).contains(maximumOrder), "an order that fits the page")
    self.maximumOrder = maximumOrder
  }

  public var streamCount: Int { 1 }

  public var advertisement: [String: String] {
    typealias Keys = NinePKeys.Backend
    return [
      Keys.versions.name: "1", Keys.maximumRingCount.name: Keys.maximumRingCount.format(UInt32(streamCount)),
      Keys.maximumRingPageOrder.name: Keys.maximumRingPageOrder.format(UInt32(maximumOrder)),
    ]
  }

  public func streams(of frontend: XenbusDirectory) throws -> [PublishedByteStream] {
    typealias Keys = NinePKeys.Frontend
    _ = try frontend.value(Keys.version)
    let count = try frontend.value(Keys.ringCount)
    guard count <= UInt32(streamCount) else { throw frontend.error(Keys.ringCount.name, expected: "at most \(streamCount)") }
    return try (0..<Int(count)).map {
      PublishedByteStream(reference: try frontend.value(Keys.ringReference[$0]), port: try frontend.value(Keys.eventChannel[$0]))
    }
  }

  public func attach(
    page: SharedBytes, memory: MappedStreamMemory, grants: ForeignGrants, stream: Int
  ) throws(ByteStreamConnectError) -> ByteStreamPair {
    try memory.attachFlexRing(page, grants, stream: stream, maximumOrder: maximumOrder)
  }
}
