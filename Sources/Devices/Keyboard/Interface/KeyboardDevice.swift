public import PVDriver
import SharedRing
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

  public static var versions: ClosedRange<UInt32>? { nil }
  public static var standardOffer: [String: String] { KeyboardDevice().offer }

  public var offer: [String: String] {
    typealias Keys = KeyboardKeys.Backend
    var keys = [Keys.featureAbsolutePointer.name: Keys.featureAbsolutePointer.format(area != nil)]
    if let area {
      keys[Keys.width.name] = Keys.width.format(area.width)
      keys[Keys.height.name] = Keys.height.format(area.height)
    }
    return keys
  }

  public func plan(for backend: XenbusDirectory) throws(XenbusKeyError) -> EventPagePlan<KeyboardAgreement> {
    plan(try backend.value(KeyboardKeys.Backend.featureAbsolutePointer) && wantsPositions)
  }

  public func keys(_ plan: EventPagePlan<KeyboardAgreement>, page: GrantReference, port: EventChannelPort) -> [String: String] {
    typealias Keys = KeyboardKeys.Frontend
    return [
      Keys.requestAbsolutePointer.name: Keys.requestAbsolutePointer.format(plan.agreement.sendsPositions),
      Keys.pageReference.name: Keys.pageReference.format(page),
      Keys.eventChannel.name: Keys.eventChannel.format(port),
    ]
  }

  public func publication(
    of frontend: XenbusDirectory
  ) throws(XenbusKeyError) -> (plan: EventPagePlan<KeyboardAgreement>, page: GrantReference, port: EventChannelPort) {
    typealias Keys = KeyboardKeys.Frontend
    let sendsPositions = try frontend.value(Keys.requestAbsolutePointer)
    if sendsPositions, area == nil {
      throw frontend.error(Keys.requestAbsolutePointer.name, expected: "0, as the back-end offers no positions")
    }
    let port = try frontend.value(Keys.eventChannel)
    guard port.rawValue != 0 else { throw frontend.error(Keys.eventChannel.name, expected: "a port; 0 is none") }
    return (plan(sendsPositions), try frontend.value(Keys.pageReference), port)
  }

  private func plan(_ sendsPositions: Bool) -> EventPagePlan<KeyboardAgreement> {
    EventPagePlan(inLayout: .keyboardIn, outLayout: .keyboardOut, agreement: KeyboardAgreement(sendsPositions: sendsPositions))
  }
}

/// What the two ends of a keyboard and pointer use.
public struct KeyboardAgreement: Sendable, Equatable {
  /// Positions instead of motions.
  public var sendsPositions: Bool
}

extension KeyboardEvent: DriverRecord {
  // Xen's protocol has one version.
  public func forget(newerThan version: UInt32) {}
}
