public import Xenbus

/// The features of a driver, with how each is agreed. A value of it is what one end offers, or what both use.
public protocol DriverFeatures: Sendable, Equatable {
  /// All that this build has.
  init()
  /// What a back-end's directory offers. Throws for a value that is malformed or out of range.
  init(offeredBy backend: XenbusDirectory) throws(XenbusKeyError)
  /// What a front-end's directory takes of `offered`. Throws for what is malformed, or was not offered.
  init(acceptedBy frontend: XenbusDirectory, of offered: Self) throws(XenbusKeyError)
  /// What both ends can use when the other one offers `other`.
  func agreed(with other: Self) -> Self
  /// The keys that a back-end writes.
  var offerKeys: [String: String] { get }
  /// The keys that a front-end writes: what it takes.
  var acceptanceKeys: [String: String] { get }
}
