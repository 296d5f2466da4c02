public import SharedMemory
public import XenInterface

/// The page that describes a pair of byte rings of a negotiated size (`DEFINE_XEN_FLEX_RING_AND_INTF`, xen/include/public/io/ring.h;
/// `struct xen_9pfs_data_intf` of 9pfs.h is one), and the rings.
public struct FlexRingPage: Sendable {
  private let page: SharedBytes

  /// Traps when `page` is no page.
  public init(_ page: SharedBytes) {
    precondition(page.byteCount == pageByteCount, "a pair of rings is described by one page")
    self.page = page
  }

  /// Fills a new page, and returns the front-end's end. `data` are 2^`order` pages, which are granted as `references`.
  public func initializedFront(order: Int, data: SharedBytes, references: [GrantReference]) -> ByteStreamPair {
    precondition(references.count == 1 << order && data.byteCount == references.count * pageByteCount, "as many pages as the order says")
    page.store32(UInt32(order), at: NinePInterfaceLayout.ringOrderOffset)
    for (index, reference) in references.enumerated() {
      page.store32(reference.rawValue, at: NinePInterfaceLayout.referencesOffset + 4 * index)
    }
    let places = places(order, data)
    places.input.initialize()
    places.output.initialize()
    return ByteStreamPair(consumer: ByteStreamConsumer(places.input), producer: ByteStreamProducer(places.output))
  }

  /// The order that the front-end says, whatever it is. Read once.
  public func readOrder() -> UInt32 { page.load32(at: NinePInterfaceLayout.ringOrderOffset) }

  /// The references of 2^`order` pages. Read once.
  public func readReferences(order: Int) -> [GrantReference] {
    precondition((1...NinePLimits.maximumRingPageOrder).contains(order), "an order that was not checked")
    return (0..<1 << order).map { GrantReference(rawValue: page.load32(at: NinePInterfaceLayout.referencesOffset + 4 * $0)) }
  }

  /// The back-end's end, of rings whose pages are mapped.
  public func back(order: Int, data: SharedBytes) -> ByteStreamPair {
    let places = places(order, data)
    return ByteStreamPair(consumer: ByteStreamConsumer(places.output), producer: ByteStreamProducer(places.input))
  }

  private func places(_ order: Int, _ data: SharedBytes) -> (input: ByteStreamPlace, output: ByteStreamPlace) {
    typealias Layout = NinePInterfaceLayout
    // `XEN_FLEX_RING_SIZE`: half of the pages each.
    let half = (pageByteCount << order) / 2
    let input = ByteStreamLayout(
      producerOffset: Layout.inputProducerOffset, consumerOffset: Layout.inputConsumerOffset, dataOffset: 0, byteCount: half)
    let output = ByteStreamLayout(
      producerOffset: Layout.outputProducerOffset, consumerOffset: Layout.outputConsumerOffset, dataOffset: half, byteCount: half)
    return (ByteStreamPlace(input, indices: page, data: data), ByteStreamPlace(output, indices: page, data: data))
  }
}
