public import SharedRing
public import XenInterface
public import Xenbus

/// What the two ends of a device with one page of events say of it in the store. A driver with a `driver:` section has
/// ``EventRingDevice``; a protocol of Xen's has its own.
public protocol EventPageDevice: Sendable {
  /// An event to the front-end.
  associatedtype ToFrontend: DriverRecord
  /// An event from the front-end.
  associatedtype FromFrontend: DriverRecord
  /// What the ends have agreed on, for the engine and the client.
  associatedtype Agreement: Sendable

  static var kind: DeviceKind { get }
  /// Versions of the protocol; nil where its ends agree on none.
  static var versions: ClosedRange<UInt32>? { get }

  /// Keys that a back-end without options offers.
  static var standardOffer: [String: String] { get }

  /// Keys that the back-end offers.
  var offer: [String: String] { get }

  /// What the front-end takes of an offer. Throws when that is malformed.
  func plan(for backend: XenbusDirectory) throws(XenbusKeyError) -> EventPagePlan<Agreement>

  /// The keys of a front-end that has chosen `plan`.
  func keys(_ plan: EventPagePlan<Agreement>, page: GrantReference, port: EventChannelPort) -> [String: String]

  /// What a front-end has published. Throws when it took what was not offered, or wrote something malformed.
  func publication(
    of frontend: XenbusDirectory
  ) throws(XenbusKeyError) -> (plan: EventPagePlan<Agreement>, page: GrantReference, port: EventChannelPort)
}

/// How a page is used.
public struct EventPagePlan<Agreement: Sendable>: Sendable {
  /// Where the ring to the front-end is in the page.
  public var inLayout: EventRingLayout
  /// Where the ring from it is.
  public var outLayout: EventRingLayout
  /// Of the protocol: newer fields of events are not looked at, and not sent.
  public var version: UInt32
  public var agreement: Agreement

  public init(inLayout: EventRingLayout, outLayout: EventRingLayout, version: UInt32 = 1, agreement: Agreement) {
    self.inLayout = inLayout
    self.outLayout = outLayout
    self.version = version
    self.agreement = agreement
  }
}
