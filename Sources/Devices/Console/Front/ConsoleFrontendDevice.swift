import ConsoleInterface
public import PVDriver
public import SharedRing
public import Xenbus
import XenInterface

/// A console as its guest has it: one page, one stream.
public struct ConsoleFrontendDevice: ByteStreamFrontendDevice {
  public init() {}

  public func plan(for backend: XenbusDirectory) throws -> ByteStreamPlan { ByteStreamPlan(streamCount: 1, pageCount: 1) }

  public func layOut(_ memory: GrantedStreamMemory) -> ByteStreamPair { ConsolePage(memory.page).initializedFront() }

  public func keys(_ streams: [PublishedByteStream]) -> [String: String] {
    typealias Keys = ConsoleKeys.Frontend
    return streams.first.map { stream in
      [
        Keys.ringReference.name: Keys.ringReference.format(stream.reference), Keys.eventChannel.name: Keys.eventChannel.format(stream.port),
        Keys.port.name: Keys.port.format(stream.port),
      ]
    } ?? [:]
  }
}
