import NetInterface
import NetPackets
import XenInterface

/// The multicast addresses that a guest wants frames for, when it asked for a filter (`request-multicast-control`).
struct MulticastFilter {
  /// Without it every frame is wanted.
  var isActive = false
  private var addresses: Set<MACAddress> = []

  /// Adds or removes what a message of the guest names. False when there is no room for another address.
  mutating func apply(_ extras: ExtraInfos) -> Bool {
    if let address = extras.multicastRemoval { addresses.remove(address) }
    guard let address = extras.multicastAddition, !addresses.contains(address) else { return true }
    guard addresses.count < NetifLimits.multicastAddressCount else { return false }
    addresses.insert(address)
    return true
  }

  /// Whether a frame to this group is wanted. Broadcast always is.
  func admits(_ address: MACAddress) -> Bool { !isActive || address == .broadcast || addresses.contains(address) }
}
