import NetPackets
import XenInterface
import Xenbus

// Both ends say what they take with the same keys in their own directories.

extension FrameCapabilities {
  /// The keys that say it.
  var keys: [String: String] {
    typealias Keys = NetifKeys.Frontend
    return [
      Keys.featureSg.name: Keys.featureSg.format(contains(.scatterGather)),
      Keys.featureGsoTcpv4.name: Keys.featureGsoTcpv4.format(contains(.segmentationV4)),
      Keys.featureGsoTcpv6.name: Keys.featureGsoTcpv6.format(contains(.segmentationV6)),
      Keys.featureNoCsumOffload.name: Keys.featureNoCsumOffload.format(!contains(.checksumV4)),
      Keys.featureIpv6CsumOffload.name: Keys.featureIpv6CsumOffload.format(contains(.checksumV6)),
    ]
  }

  /// What the owner of `directory` takes. Throws when a key is malformed.
  ///
  /// Large TCP frames need more than one page and a blank checksum: without these, they are not taken either, whatever is said about
  /// them (as Linux drops `NETIF_F_TSO` without `NETIF_F_SG` and a checksum feature).
  init(reading directory: XenbusDirectory) throws(XenbusKeyError) {
    typealias Keys = NetifKeys.Frontend
    self = []
    if try directory.value(Keys.featureSg) { insert(.scatterGather) }
    if try !directory.value(Keys.featureNoCsumOffload) { insert(.checksumV4) }
    if try directory.value(Keys.featureIpv6CsumOffload) { insert(.checksumV6) }
    if try directory.value(Keys.featureGsoTcpv4), isSuperset(of: [.scatterGather, .checksumV4]) { insert(.segmentationV4) }
    if try directory.value(Keys.featureGsoTcpv6), isSuperset(of: [.scatterGather, .checksumV6]) { insert(.segmentationV6) }
  }
}
