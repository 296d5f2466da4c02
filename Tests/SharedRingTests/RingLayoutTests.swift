import SharedRing
import Testing

@Suite struct RingLayoutTests {
  /// Sizes as Xen's __RING_SIZE computes them: blkif on both ABIs, netif tx (12 bytes) and rx (8 bytes), pvscsi (252).
  @Test(arguments: [
    (4096, 112, 32), (8192, 112, 64), (16384, 112, 128), (32768, 112, 256), (65536, 112, 512), (4096, 108, 32), (32768, 108, 256),
    (4096, 12, 256), (4096, 8, 256), (4096, 252, 16), (4096, 4032, 1), (4096, 2016, 2), (92, 28, 1),
  ])
  func holdsTheLargestPowerOfTwoThatFits(byteCount: Int, entryByteCount: Int, expected: Int) {
    #expect(RingLayout(byteCount: byteCount, entryByteCount: entryByteCount).entryCount == UInt32(expected))
  }

  @Test func refusesARingThatHoldsNoEntry() async {
    await #expect(processExitsWith: .failure) { _ = RingLayout(byteCount: 4096, entryByteCount: 4036) }
  }

  @Test func refusesEntriesThatAreNoWholeWords() async {
    await #expect(processExitsWith: .failure) { _ = RingLayout(byteCount: 4096, entryByteCount: 30) }
  }
}
