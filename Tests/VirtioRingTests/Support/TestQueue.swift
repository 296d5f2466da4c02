import SharedMemory
import VirtioRing

/// A queue in the memory of a guest made for the test: the ring from its start, then room for data.
struct TestQueue {
  static let guestAddress: UInt64 = 0x4000_0000
  static let userAddress: UInt64 = 0x7f00_0000_0000
  static let dataByteCount = 1 << 16

  let format: DeviceQueue.Format
  let entryCount: Int
  let features: DeviceQueue.Features
  let memory = GuestMemory()
  let bytes: SharedBytes
  let parts: DeviceQueue.Parts
  /// Where the data begins, in `bytes`.
  let dataOffset: Int

  init(_ format: DeviceQueue.Format, entryCount: Int, eventIndex: Bool = true, indirect: Bool = true, inOrder: Bool = false) throws {
    self.format = format
    self.entryCount = entryCount
    features = DeviceQueue.Features(eventIndex: eventIndex, indirect: indirect, inOrder: inOrder)
    let sizes = DeviceQueue.partByteCounts(format, entryCount: entryCount)
    let driver = (sizes.descriptors + 63) & ~63
    let device = (driver + sizes.driver + 63) & ~63
    dataOffset = (device + sizes.device + 4095) & ~4095
    bytes = try SharedRegion(anonymousByteCount: dataOffset + Self.dataByteCount).bytes
    try memory.add(bytes, guestAddress: Self.guestAddress, userAddress: Self.userAddress)
    parts = DeviceQueue.Parts(
      descriptors: bytes.slice(at: 0, byteCount: sizes.descriptors), driver: bytes.slice(at: driver, byteCount: sizes.driver),
      device: bytes.slice(at: device, byteCount: sizes.device), logAddress: Self.guestAddress + (format == .split ? UInt64(device) : 0))
  }

  /// Guest address of a byte of the data.
  func data(_ offset: Int) -> UInt64 { Self.guestAddress + UInt64(dataOffset + offset) }

  /// Room for an indirect table in the data.
  func table(_ offset: Int, descriptors count: Int) -> DriverQueue.Table {
    DriverQueue.Table(bytes.slice(at: dataOffset + offset, byteCount: count * 16), guestAddress: data(offset))
  }

  func makeDriver(start: UInt16? = nil) -> DriverSide {
    DriverSide(DriverQueue(format, entryCount: entryCount, parts: parts, features: features, start: start ?? (format == .split ? 0 : 0x8000)))
  }

  func makeDevice(base: UInt32, splitInflight: InflightRecord? = nil) throws -> DeviceSide {
    DeviceSide(try DeviceQueue(format, entryCount: entryCount, parts: parts, features: features, memory: memory, base: base, inflight: splitInflight))
  }

  /// Writes a descriptor as it is, in whichever format.
  func writeDescriptor(_ index: Int, address: UInt64, byteCount: UInt32, flags: UInt16, link: UInt16 = 0, in table: SharedBytes? = nil) {
    let target = table ?? parts.descriptors
    target.store64(address, at: index * 16)
    target.store32(byteCount, at: index * 16 + 8)
    target.store16(format == .split ? flags : link, at: index * 16 + 12)
    target.store16(format == .split ? link : flags, at: index * 16 + 14)
  }

  /// Makes the chain at descriptor 0 available, whatever it is: the entry of a split queue that begins at 0. A packed queue's flags do it.
  func offerFirst() {
    guard format == .split else { return }
    parts.driver.store16(0, at: 4)
    parts.driver.storeRelease16(1, at: 2)
  }

  /// The flags under which a packed descriptor of the first round is available; nothing for a split one.
  var available: UInt16 { format == .packed ? 0x80 : 0 }
}

enum Flags {
  static let next: UInt16 = 1
  static let write: UInt16 = 2
  static let indirect: UInt16 = 4
}

let bothFormats: [DeviceQueue.Format] = [.split, .packed]
