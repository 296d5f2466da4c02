/// Bytes by which every place of a device can be told from every other, for each seed. Made a page at a time, because
/// unoptimised code takes its time for each element.
public func pattern(_ count: Int, seed: UInt8) -> [UInt8] {
  let page = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) &+ seed }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(count + 4096)
  var number = 0
  while bytes.count < count {
    bytes += page
    for index in 0..<4 { bytes[bytes.count - 4096 + index * 512] = UInt8(truncatingIfNeeded: number >> (index * 8)) }
    number += 1
  }
  bytes.removeLast(bytes.count - count)
  return bytes
}
