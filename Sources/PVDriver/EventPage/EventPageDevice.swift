public import SharedRing
public import XenInterface
public import Xenbus

/// What the two ends of a device with one page of events say of it in the store.
public protocol EventPageDevice: Sendable {
  /// An event to the front-end.
  associatedtype ToFrontend: WireRecord
  /// An event from the front-end.
  associatedtype FromFrontend: WireRecord

  /// Where the ring to the front-end is in the page.
  var inLayout: EventRingLayout { get }
  /// Where the ring from it is.
  var outLayout: EventRingLayout { get }

  /// Keys that the back-end offers.
  var offer: [String: String] { get }

  /// Keys of the front-end: what it takes of the offer, and its page and port. Throws when the offer is malformed.
  func acceptance(of backend: XenbusDirectory, page: GrantReference, port: EventChannelPort) throws(XenbusKeyError) -> [String: String]

  /// The front-end's page and port. Throws when it took what was not offered, or wrote something malformed.
  func publication(of frontend: XenbusDirectory) throws(XenbusKeyError) -> (page: GrantReference, port: EventChannelPort)
}
