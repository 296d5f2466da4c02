public import NetPackets
import XenInterface
public import Xenbus

/// What a back-end offers: written before the front-end chooses.
public struct NetFeatures: Sendable, Equatable {
  /// Most queues, at least 1 (`multi-queue-max-queues`).
  public var maximumQueueCount: Int
  /// What the back-end takes from the front-end without help (`feature-sg`, `feature-gso-tcpv4` and so on).
  public var capabilities: FrameCapabilities
  /// A queue may have an event channel for each of its rings (`feature-split-event-channels`).
  public var splitEventChannels: Bool
  /// Multicast frames are filtered when the front-end wants that (`feature-multicast-control`), also when it says so only
  /// after it has connected (`feature-dynamic-multicast-control`).
  public var multicastControl: Bool
  /// There may be a control ring (`feature-ctrl-ring`).
  public var controlRing: Bool
  /// Room is left before received data when the front-end wants that (`feature-xdp-headroom`).
  public var headroom: Bool

  public init(
    maximumQueueCount: Int = 1, capabilities: FrameCapabilities = .checksumV4, splitEventChannels: Bool = false,
    multicastControl: Bool = false, controlRing: Bool = false, headroom: Bool = false
  ) {
    self.maximumQueueCount = maximumQueueCount
    self.capabilities = capabilities
    self.splitEventChannels = splitEventChannels
    self.multicastControl = multicastControl
    self.controlRing = controlRing
    self.headroom = headroom
  }
}

// MARK: - In the store

extension NetFeatures {
  /// The keys for the back-end's directory.
  public var keys: [String: String] {
    typealias Keys = NetifKeys.Backend
    return [
      Keys.featureRxCopy.name: Keys.featureRxCopy.format(true),
      Keys.featureRxFlip.name: Keys.featureRxFlip.format(false),
      Keys.maximumQueueCount.name: Keys.maximumQueueCount.format(UInt32(maximumQueueCount)),
      Keys.featureSplitEventChannels.name: Keys.featureSplitEventChannels.format(splitEventChannels),
      Keys.featureMulticastControl.name: Keys.featureMulticastControl.format(multicastControl),
      Keys.featureDynamicMulticastControl.name: Keys.featureDynamicMulticastControl.format(multicastControl),
      Keys.featureControlRing.name: Keys.featureControlRing.format(controlRing),
      Keys.featureXdpHeadroom.name: Keys.featureXdpHeadroom.format(headroom),
    ].merging(capabilities.keys) { _, new in new }
  }

  /// What `backend` offers; an absent key offers nothing. Throws when a key is malformed, and when the back-end does not copy what
  /// is received: giving away pages is all that it could do instead, and nobody has done that since 2010.
  public init(reading backend: XenbusDirectory) throws(XenbusKeyError) {
    typealias Keys = NetifKeys.Backend
    guard try backend.value(Keys.featureRxCopy) else {
      throw backend.error(Keys.featureRxCopy.name, expected: "1; a back-end that does not copy is not supported")
    }
    self.init(
      maximumQueueCount: Int(try backend.value(Keys.maximumQueueCount)),
      capabilities: try FrameCapabilities(reading: backend),
      splitEventChannels: try backend.value(Keys.featureSplitEventChannels),
      multicastControl: try backend.value(Keys.featureMulticastControl),
      controlRing: try backend.value(Keys.featureControlRing),
      headroom: try backend.value(Keys.featureXdpHeadroom))
  }
}
