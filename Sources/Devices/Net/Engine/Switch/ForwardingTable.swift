import NetPackets
import SharedMemory

/// Which port of a switch an address was last seen at, by VLAN: of fixed size, whatever senders claim to be.
///
/// Open addressing with a short probe: an address that finds no place takes that of the one that was seen longest ago.
struct ForwardingTable: ~Copyable {
  private struct Entry {
    /// VLAN and address; 0: free.
    var key: UInt64 = 0
    var port: Int32 = -1
    /// When the address was last seen, in seconds.
    var seconds: UInt32 = 0
  }

  /// Seconds after which an address that was not seen is forgotten (IEEE 802.1D: 300).
  static let lifetime: UInt32 = 300
  private static let capacity = 8192
  private static let probeCount = 8
  private let entries = FixedTable(repeating: Entry(), count: ForwardingTable.capacity)

  /// The port of an address; nil when it is not known, or has not been seen for long.
  func port(of address: MACAddress, vlan: UInt16, now: UInt32) -> Int? {
    let key = Self.key(address, vlan)
    let start = Self.start(key)
    for offset in 0..<Self.probeCount {
      let entry = entries[(start + offset) & (Self.capacity - 1)]
      if entry.key == key { return now &- entry.seconds < Self.lifetime ? Int(entry.port) : nil }
    }
    return nil
  }

  /// An address was seen at a port. True when that is news, and not only another time.
  func learn(_ address: MACAddress, vlan: UInt16, port: Int, now: UInt32) -> Bool {
    let key = Self.key(address, vlan)
    let start = Self.start(key)
    var oldest = start
    var oldestAge: UInt32 = 0
    for offset in 0..<Self.probeCount {
      let index = (start + offset) & (Self.capacity - 1)
      let entry = entries[index]
      if entry.key == key {
        if entry.port != port || entry.seconds != now { entries[index] = Entry(key: key, port: Int32(port), seconds: now) }
        return entry.port != port
      }
      let age = entry.key == 0 ? UInt32.max : now &- entry.seconds
      if age > oldestAge || offset == 0 { (oldest, oldestAge) = (index, age) }
    }
    entries[oldest] = Entry(key: key, port: Int32(port), seconds: now)
    return true
  }

  /// Forgets every address of a port: nobody is there any more.
  func forget(port: Int) {
    for index in 0..<Self.capacity where entries[index].port == port && entries[index].key != 0 { entries[index] = Entry() }
  }

  private static func key(_ address: MACAddress, _ vlan: UInt16) -> UInt64 { address.rawValue | UInt64(vlan) << 48 }

  /// Addresses of one maker differ in their last bits only: multiplication spreads those over the table.
  private static func start(_ key: UInt64) -> Int { Int(truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) >> 51) & (capacity - 1) }
}
