public import NetPackets
import XenInterface
public import Xenbus

/// What a front-end wants its received frames to be like: written with its ``NetTransport``.
public struct NetAcceptance: Sendable, Equatable {
  /// What the front-end takes without help (`feature-sg`, `feature-gso-tcpv4` and so on).
  public var capabilities: FrameCapabilities
  /// The front-end signals when it has posted pages (`feature-rx-notify`). Without it a back-end has to look by itself.
  public var receiveNotification: Bool
  /// Only multicast frames whose address the front-end has added are wanted (`request-multicast-control`).
  public var multicastControl: Bool
  /// Room before received data in each page, in bytes, 0 to ``NetLimits/headroomByteCount`` (`xdp-headroom`).
  public var headroomByteCount: Int

  public init(
    capabilities: FrameCapabilities = .checksumV4, receiveNotification: Bool = true, multicastControl: Bool = false,
    headroomByteCount: Int = 0
  ) {
    self.capabilities = capabilities
    self.receiveNotification = receiveNotification
    self.multicastControl = multicastControl
    self.headroomByteCount = headroomByteCount
  }
}

// MARK: - In the store

extension NetAcceptance {
  /// The keys for the front-end's directory.
  public var keys: [String: String] {
    typealias Keys = NetifKeys.Frontend
    var keys = capabilities.keys
    keys[Keys.requestRxCopy.name] = Keys.requestRxCopy.format(true)
    keys[Keys.featureRxNotify.name] = Keys.featureRxNotify.format(receiveNotification)
    keys[Keys.requestMulticastControl.name] = Keys.requestMulticastControl.format(multicastControl)
    if headroomByteCount > 0 { keys[Keys.xdpHeadroom.name] = Keys.xdpHeadroom.format(UInt16(headroomByteCount)) }
    return keys
  }

  /// What `frontend` wants, held against what it was offered. Throws an error that names the key when it does not want what is
  /// received to be copied, wants headroom that was not offered, or wrote something malformed.
  ///
  /// A wish for a multicast filter that was not offered is ignored: such a front-end gets more than it wants.
  public init(reading frontend: XenbusDirectory, offered: NetFeatures) throws(XenbusKeyError) {
    typealias Keys = NetifKeys.Frontend
    guard try frontend.value(Keys.requestRxCopy) else {
      throw frontend.error(Keys.requestRxCopy.name, expected: "1; the back-end only copies")
    }
    let headroom = Int(try frontend.value(Keys.xdpHeadroom))
    let allowed = offered.headroom ? NetLimits.headroomByteCount : 0
    guard headroom <= allowed else { throw frontend.error(Keys.xdpHeadroom.name, expected: "at most \(allowed), as the back-end offers") }
    self.init(
      capabilities: try FrameCapabilities(reading: frontend),
      receiveNotification: try frontend.value(Keys.featureRxNotify),
      multicastControl: try frontend.value(Keys.requestMulticastControl) && offered.multicastControl,
      headroomByteCount: headroom)
  }
}
