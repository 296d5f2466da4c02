import XenInterface
import Xenbus

/// What the two ends of a connection use.
public struct DriverAgreement<Features: DriverFeatures>: Sendable, Equatable {
  /// Of the protocol.
  public var version: UInt32
  public var features: Features

  public init(version: UInt32, features: Features) {
    self.version = version
    self.features = features
  }
}

extension DriverInterface {
  /// The front-end's choice of what `backend` offers. Throws for a malformed offer, and where the ends have no version in common.
  static func choose(
    from backend: XenbusDirectory, wanting features: Features
  ) throws(XenbusKeyError) -> (choice: DriverChoice, agreement: DriverAgreement<Features>) {
    let offer = try DriverOffer(reading: backend)
    let agreed = try Features(offeredBy: backend).agreed(with: features)
    guard let choice = DriverChoice(Self.self, offered: offer) else {
      throw backend.error(
        DriverKeys.Backend.maximumVersion.name, expected: "a version from \(versions.lowerBound) to \(versions.upperBound), as this front-end speaks")
    }
    return (choice, DriverAgreement(version: choice.version, features: agreed))
  }

  /// What `frontend` chose, held against what it was offered. Throws an error that names the key.
  static func accept(
    _ frontend: XenbusDirectory, of offer: DriverOffer, _ features: Features
  ) throws(XenbusKeyError) -> (transport: DriverTransport, agreement: DriverAgreement<Features>) {
    let transport = try DriverTransport(reading: frontend, offered: offer)
    return (transport, DriverAgreement(version: transport.version, features: try Features(acceptedBy: frontend, of: features)))
  }
}
