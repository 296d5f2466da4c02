public import SharedMemory
import SharedRing
import XenInterface

/// How large the two rings of a vchan are, and so where they lie (`left_order`, `right_order`; xen/include/public/io/libxenvchan.h).
public struct VchanOrders: Sendable, Hashable {
  /// From the client to the server, as a power of two.
  public let left: Int
  /// From the server to the client.
  public let right: Int

  /// Traps when there is no vchan like that: our own mistake.
  public init(left: Int, right: Int) {
    precondition(VchanOrders(checking: left, right) != nil, "no vchan has rings of orders \(left) and \(right)")
    self = VchanOrders(checking: left, right)!
  }

  /// The smallest rings that hold so many bytes each, chosen as libxenvchan chooses them: within the page where that is possible.
  public init?(leftByteCount: Int, rightByteCount: Int) {
    let small = 1 << VchanLimits.smallRingOrder
    let large = 1 << VchanLimits.largeRingOrder
    let most = 1 << VchanLimits.maximumRingOrder
    guard (0...most).contains(leftByteCount), (0...most).contains(rightByteCount) else { return nil }
    var orders = (Self.pageOrder(leftByteCount), Self.pageOrder(rightByteCount))
    switch (leftByteCount, rightByteCount) {
    case (...small, ...large): orders = (VchanLimits.smallRingOrder, VchanLimits.largeRingOrder)
    case (...large, ...small): orders = (VchanLimits.largeRingOrder, VchanLimits.smallRingOrder)
    case (...large, _): orders.0 = VchanLimits.largeRingOrder
    case (_, ...large): orders.1 = VchanLimits.largeRingOrder
    default: break
    }
    self.init(checking: orders.0, orders.1)
  }

  /// What a page says, whose server is not to be trusted; nil when it cannot be.
  init?(checking left: Int, _ right: Int) {
    func exists(_ order: Int) -> Bool {
      order == VchanLimits.smallRingOrder || order == VchanLimits.largeRingOrder || (12...VchanLimits.maximumRingOrder).contains(order)
    }
    // Both within the page at the same place would be one ring.
    guard exists(left), exists(right), left != right || left >= 12 else { return nil }
    self.left = left
    self.right = right
  }

  private static func pageOrder(_ byteCount: Int) -> Int { (12...).first { byteCount <= 1 << $0 } ?? VchanLimits.maximumRingOrder }

  /// Pages of their own that the rings need, those of `left` first.
  public var pageCounts: (left: Int, right: Int) { (left >= 12 ? 1 << (left - 12) : 0, right >= 12 ? 1 << (right - 12) : 0) }
}

/// The page that describes a vchan (`struct vchan_interface`), and the rings that it describes.
public struct VchanPage: Sendable {
  let page: SharedBytes

  /// Traps when `page` is no page.
  public init(_ page: SharedBytes) {
    precondition(page.byteCount == pageByteCount, "a vchan is described by one page")
    self.page = page
  }

  // MARK: The server's part

  /// Fills a new page, and returns the server's end.
  /// - Parameters:
  ///   - data: the pages of the rings that are not within the page, those of `left` first.
  ///   - references: of those pages.
  func initializedServer(_ orders: VchanOrders, data: SharedBytes, references: [GrantReference]) -> ByteStreamPair {
    typealias Layout = VchanInterfaceLayout
    page.store16(UInt16(orders.left), at: Layout.leftOrderOffset)
    page.store16(UInt16(orders.right), at: Layout.rightOrderOffset)
    for (index, reference) in references.enumerated() { page.store32(reference.rawValue, at: Layout.grantsOffset + 4 * index) }
    page.store8(UInt8(VchanLiveness.expected.rawValue), at: Layout.clientLiveOffset)
    page.store8(UInt8(VchanLiveness.connected.rawValue), at: Layout.serverLiveOffset)
    page.store8(UInt8(VchanNotify.write.rawValue), at: Layout.clientNotifyOffset)
    let places = places(orders, data: data)
    places.left.initialize()
    places.right.initialize()
    return ByteStreamPair(
      consumer: ByteStreamConsumer(places.left), producer: ByteStreamProducer(places.right),
      notification: .onRequest(page, wantedOfUs: Layout.serverNotifyOffset, wantedOfPeer: Layout.clientNotifyOffset))
  }

  // MARK: The client's part

  /// What the server says of its rings, read once; nil when no vchan has such rings.
  func readOrders() -> VchanOrders? {
    VchanOrders(
      checking: Int(page.load16(at: VchanInterfaceLayout.leftOrderOffset)), Int(page.load16(at: VchanInterfaceLayout.rightOrderOffset)))
  }

  /// The references of the rings' pages, read once.
  func readReferences(_ orders: VchanOrders) -> [GrantReference] {
    let count = orders.pageCounts.left + orders.pageCounts.right
    return (0..<count).map { GrantReference(rawValue: page.load32(at: VchanInterfaceLayout.grantsOffset + 4 * $0)) }
  }

  /// The client's end, of a vchan whose pages are mapped. Says that the client is there.
  func client(_ orders: VchanOrders, data: SharedBytes) -> ByteStreamPair {
    typealias Layout = VchanInterfaceLayout
    let places = places(orders, data: data)
    let pair = ByteStreamPair(
      consumer: ByteStreamConsumer(places.right), producer: ByteStreamProducer(places.left),
      notification: .onRequest(page, wantedOfUs: Layout.clientNotifyOffset, wantedOfPeer: Layout.serverNotifyOffset))
    page.store8(UInt8(VchanLiveness.connected.rawValue), at: Layout.clientLiveOffset)
    page.store8(UInt8(VchanNotify.write.rawValue), at: Layout.serverNotifyOffset)
    return pair
  }

  /// Where both rings are. `data` has exactly the pages that the orders ask for.
  private func places(_ orders: VchanOrders, data: SharedBytes) -> (left: ByteStreamPlace, right: ByteStreamPlace) {
    typealias Layout = VchanInterfaceLayout
    func place(_ order: Int, _ producer: Int, _ consumer: Int, pagesAt offset: Int) -> ByteStreamPlace {
      let inPage =
        switch order {
        case VchanLimits.smallRingOrder: VchanLimits.smallRingOffset
        case VchanLimits.largeRingOrder: VchanLimits.largeRingOffset
        default: -1
        }
      let layout = ByteStreamLayout(
        producerOffset: producer, consumerOffset: consumer, dataOffset: inPage >= 0 ? inPage : offset, byteCount: 1 << order)
      return ByteStreamPlace(layout, indices: page, data: inPage >= 0 ? page : data)
    }
    return (
      place(orders.left, Layout.leftProducerOffset, Layout.leftConsumerOffset, pagesAt: 0),
      place(orders.right, Layout.rightProducerOffset, Layout.rightConsumerOffset, pagesAt: orders.pageCounts.left * pageByteCount)
    )
  }

  // MARK: Who is there

  /// Which end of a vchan.
  public enum Side: Sendable { case server, client }

  /// What an end says of itself. Values that do not exist are taken for an end that has left.
  func liveness(of side: Side) -> VchanLiveness {
    VchanLiveness(rawValue: UInt32(page.load8(at: Self.livenessOffset(of: side)))) ?? .gone
  }

  /// Says that an end has left. What it has written can still be read.
  func leave(_ side: Side) {
    page.store8(0, at: Self.livenessOffset(of: side))
  }

  static func livenessOffset(of side: Side) -> Int {
    side == .server ? VchanInterfaceLayout.serverLiveOffset : VchanInterfaceLayout.clientLiveOffset
  }
}
