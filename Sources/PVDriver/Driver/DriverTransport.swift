import SharedMemory
public import XenInterface
public import Xenbus

/// What a back-end offers beside its features: versions, ring size, entry size.
public struct DriverOffer: Sendable, Equatable {
  public var versions: ClosedRange<UInt32>
  public var maximumRingPageOrder: Int
  public var entryByteCount: Int

  /// What this build offers.
  public init<Interface: DriverInterface>(_ interface: Interface.Type, maximumRingPageOrder: Int) {
    versions = Interface.versions
    self.maximumRingPageOrder = min(max(0, maximumRingPageOrder), DriverLimits.ringPageOrder)
    entryByteCount = Interface.entryByteCount
  }

  /// What `backend` offers. Throws for a value that is malformed or impossible.
  public init(reading backend: XenbusDirectory) throws(XenbusKeyError) {
    typealias Keys = DriverKeys.Backend
    let oldest = try backend.value(Keys.minimumVersion)
    let newest = try backend.value(Keys.maximumVersion)
    guard oldest <= newest else { throw backend.error(Keys.maximumVersion.name, expected: "at least min-version, \(oldest)") }
    versions = oldest...newest
    maximumRingPageOrder = Int(try backend.value(Keys.maximumRingPageOrder))
    entryByteCount = try Self.entryByteCount(Keys.entryByteCount, backend)
  }

  fileprivate static func entryByteCount(_ key: StoreKey<UInt32>, _ directory: XenbusDirectory) throws(XenbusKeyError) -> Int {
    let count = try directory.value(key)
    guard count & 7 == 0 else { throw directory.error(key.name, expected: "a multiple of 8") }
    return Int(count)
  }

  /// The keys for the back-end's directory.
  public var keys: [String: String] {
    typealias Keys = DriverKeys.Backend
    return [
      Keys.minimumVersion.name: Keys.minimumVersion.format(versions.lowerBound),
      Keys.maximumVersion.name: Keys.maximumVersion.format(versions.upperBound),
      Keys.maximumRingPageOrder.name: Keys.maximumRingPageOrder.format(UInt32(maximumRingPageOrder)),
      Keys.entryByteCount.name: Keys.entryByteCount.format(UInt32(entryByteCount)),
    ]
  }
}

/// How a front-end can be reached: what it chose of an offer, its memory and its event channel.
public struct DriverTransport: Sendable, Equatable {
  public var version: UInt32
  public var entryByteCount: Int
  /// The ring's pages in order, 1, 2, 4, 8 or 16; the one page of an event ring or a byte stream.
  public var ringReferences: [GrantReference]
  public var port: EventChannelPort

  public init(version: UInt32, entryByteCount: Int, ringReferences: [GrantReference], port: EventChannelPort) {
    self.version = version
    self.entryByteCount = entryByteCount
    self.ringReferences = ringReferences
    self.port = port
  }

  /// What `frontend` chose, held against what it was offered. Throws an error that names the key.
  public init(reading frontend: XenbusDirectory, offered: DriverOffer) throws(XenbusKeyError) {
    typealias Keys = DriverKeys.Frontend
    version = try frontend.value(Keys.version)
    guard offered.versions.contains(version) else {
      throw frontend.error(Keys.version.name, expected: "\(offered.versions.lowerBound) to \(offered.versions.upperBound), as the back-end offers")
    }
    entryByteCount = try DriverOffer.entryByteCount(Keys.entryByteCount, frontend)
    guard entryByteCount >= offered.entryByteCount else {
      throw frontend.error(Keys.entryByteCount.name, expected: "at least the back-end's, \(offered.entryByteCount)")
    }
    let order = Int(try frontend.value(Keys.ringPageOrder))
    guard order <= offered.maximumRingPageOrder else {
      throw frontend.error(Keys.ringPageOrder.name, expected: "at most \(offered.maximumRingPageOrder), as the back-end offers")
    }
    ringReferences = []
    for page in 0..<(1 << order) {
      let reference = try frontend.value(Keys.ringReferences[page])
      guard !ringReferences.contains(reference) else {
        throw frontend.error(Keys.ringReferences[page].name, expected: "a page that the ring does not have already")
      }
      ringReferences.append(reference)
    }
    port = try frontend.value(Keys.eventChannel)
    guard port.rawValue != 0 else { throw frontend.error(Keys.eventChannel.name, expected: "a port; 0 is none") }
  }

  /// The keys for the front-end's directory.
  public var keys: [String: String] {
    typealias Keys = DriverKeys.Frontend
    precondition(ringReferences.count.nonzeroBitCount == 1, "a ring has a power of two of pages")
    var keys = [
      Keys.version.name: Keys.version.format(version),
      Keys.entryByteCount.name: Keys.entryByteCount.format(UInt32(entryByteCount)),
      Keys.ringPageOrder.name: Keys.ringPageOrder.format(UInt32(ringReferences.count.trailingZeroBitCount)),
      Keys.eventChannel.name: Keys.eventChannel.format(port),
    ]
    for (page, reference) in ringReferences.enumerated() {
      keys[Keys.ringReferences[page].name] = Keys.ringReferences[page].format(reference)
    }
    return keys
  }
}

/// What a front-end chose, before it has a ring: the newest version, the larger entry, the ring that both can have.
public struct DriverChoice: Sendable, Equatable {
  public var version: UInt32
  public var entryByteCount: Int
  public var ringPageOrder: Int

  /// Nil when the two ends have no version in common.
  public init?<Interface: DriverInterface>(_ interface: Interface.Type, offered: DriverOffer) {
    version = min(Interface.versions.upperBound, offered.versions.upperBound)
    guard version >= max(Interface.versions.lowerBound, offered.versions.lowerBound) else { return nil }
    entryByteCount = max(Interface.entryByteCount, offered.entryByteCount)
    ringPageOrder = min(Interface.ringPageOrder, offered.maximumRingPageOrder, DriverLimits.ringPageOrder)
  }
}
