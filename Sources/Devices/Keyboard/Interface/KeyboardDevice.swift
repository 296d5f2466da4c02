public import PVDriver
public import SharedRing
public import XenInterface
public import Xenbus

/// A keyboard and pointer as its two ends describe it in the store (xen/include/public/io/kbdif.h).
public struct KeyboardDevice: EventPageDevice {
  public typealias ToFrontend = KeyboardEvent
  /// Xen's header defines no event in this direction; they have the same size.
  public typealias FromFrontend = KeyboardEvent

  public static let kind = DeviceKind("vkbd")

  /// Width and height that positions lie in, in pixels; nil: only motions.
  public var area: (width: UInt32, height: UInt32)?
  /// Front-end: ask for positions where the back-end offers them.
  public var wantsPositions = true

  public init(area: (width: UInt32, height: UInt32)? = nil) { self.area = area }

  public var inLayout: EventRingLayout { .keyboardIn }
  public var outLayout: EventRingLayout { .keyboardOut }

  public var offer: [String: String] {
    typealias Keys = KeyboardKeys.Backend
    var keys = [Keys.featureAbsolutePointer.name: Keys.featureAbsolutePointer.format(area != nil)]
    if let area {
      keys[Keys.width.name] = Keys.width.format(area.width)
      keys[Keys.height.name] = Keys.height.format(area.height)
    }
    return keys
  }

  public func acceptance(of backend: XenbusDirectory, page: GrantReference, port: EventChannelPort) throws(XenbusKeyError) -> [String: String] {
    typealias Keys = KeyboardKeys.Frontend
    let offered = try backend.value(KeyboardKeys.Backend.featureAbsolutePointer)
    return [
      Keys.requestAbsolutePointer.name: Keys.requestAbsolutePointer.format(offered && wantsPositions),
      Keys.pageReference.name: Keys.pageReference.format(page),
      Keys.eventChannel.name: Keys.eventChannel.format(port),
    ]
  }

  public func publication(of frontend: XenbusDirectory) throws(XenbusKeyError) -> (page: GrantReference, port: EventChannelPort) {
    typealias Keys = KeyboardKeys.Frontend
    if try frontend.value(Keys.requestAbsolutePointer), area == nil {
      throw frontend.error(Keys.requestAbsolutePointer.name, expected: "0, as the back-end offers no positions")
    }
    let port = try frontend.value(Keys.eventChannel)
    guard port.rawValue != 0 else { throw frontend.error(Keys.eventChannel.name, expected: "a port; 0 is none") }
    return (try frontend.value(Keys.pageReference), port)
  }
}
