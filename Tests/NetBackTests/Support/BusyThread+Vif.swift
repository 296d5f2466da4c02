import SharedMemory
import TestSupport

extension BusyThread {
  /// Rewrites what a back-end reads: slots of a transmit ring, and headers in a page.
  static func flipping(ring: SharedBytes, pages: SharedBytes) -> BusyThread {
    BusyThread { random in
      let entry = 64 + Int.random(in: 0..<256, using: &random) * 12
      switch Int.random(in: 0..<4, using: &random) {
      case 0: ring.store16(UInt16.random(in: 0...300, using: &random), at: entry + 10)
      case 1: ring.store16(UInt16.random(in: 0...300, using: &random), at: entry + 4)
      case 2: pages.store8(UInt8.random(in: 0...255, using: &random), at: Int.random(in: 12..<60, using: &random))
      default: pages.store8([4, 0x45, 0x4f, 6, 17, 0].randomElement(using: &random) ?? 0, at: Int.random(in: 12..<60, using: &random))
      }
    }
  }
}
