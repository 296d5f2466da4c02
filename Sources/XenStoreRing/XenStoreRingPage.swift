public import SharedMemory
public import SharedRing
public import XenInterface

/// The page that a domain shares with the store (`struct xenstore_domain_interface`, xen/include/public/io/xs_wire.h): two byte rings
/// and a few words about the connection. Thread-safe as single accesses; the rings' ends have owners of their own.
public struct XenStoreRingPage: Sendable {
  /// Bytes of the whole page.
  public static let byteCount = 4096

  private let page: SharedBytes

  /// Traps when `page` is not a page.
  public init(_ page: SharedBytes) {
    precondition(page.byteCount == XenStoreRingPage.byteCount, "the store's interface is one page")
    self.page = page
  }

  // MARK: The rings

  /// The store's end of the requests (`req`).
  public var requestConsumer: ByteStreamConsumer { ByteStreamConsumer(requests) }
  /// The guest's end of the requests.
  public var requestProducer: ByteStreamProducer { ByteStreamProducer(requests) }
  /// The guest's end of the responses (`rsp`).
  public var responseConsumer: ByteStreamConsumer { ByteStreamConsumer(responses) }
  /// The store's end of the responses.
  public var responseProducer: ByteStreamProducer { ByteStreamProducer(responses) }

  private var requests: ByteStreamPlace { ByteStreamPlace(Self.requestLayout, indices: page, data: page) }
  private var responses: ByteStreamPlace { ByteStreamPlace(Self.responseLayout, indices: page, data: page) }

  private static let requestLayout = ByteStreamLayout(
    producerOffset: XenStoreInterfaceLayout.requestProducerOffset, consumerOffset: XenStoreInterfaceLayout.requestConsumerOffset,
    dataOffset: XenStoreInterfaceLayout.requestOffset, byteCount: XenStoreLimits.ringByteCount)
  private static let responseLayout = ByteStreamLayout(
    producerOffset: XenStoreInterfaceLayout.responseProducerOffset, consumerOffset: XenStoreInterfaceLayout.responseConsumerOffset,
    dataOffset: XenStoreInterfaceLayout.responseOffset, byteCount: XenStoreLimits.ringByteCount)

  // MARK: About the connection

  /// What the store can do (`server_features`). Written by the store.
  public var serverFeatures: XenStoreFeatures {
    get { XenStoreFeatures(rawValue: page.load32(at: XenStoreInterfaceLayout.serverFeaturesOffset)) }
    nonmutating set { page.store32(newValue.rawValue, at: XenStoreInterfaceLayout.serverFeaturesOffset) }
  }

  /// Why the store ignores the guest (`error`); zero while it does not. Written by the store.
  public var error: UInt32 {
    get { page.loadAcquire32(at: XenStoreInterfaceLayout.errorOffset) }
    nonmutating set { page.storeRelease32(newValue, at: XenStoreInterfaceLayout.errorOffset) }
  }

  /// Whether the guest wants to begin again (`connection`), or the store has done so. Values that do not exist are taken for the
  /// steady state.
  public var connection: XenStoreConnectionState {
    get { XenStoreConnectionState(rawValue: page.loadAcquire32(at: XenStoreInterfaceLayout.connectionOffset)) ?? .connected }
    nonmutating set { page.storeRelease32(newValue.rawValue, at: XenStoreInterfaceLayout.connectionOffset) }
  }

  /// The indices that the guest writes: whether it has done anything since the store looked last. Nothing else rests on them.
  public var guestIndices: GuestIndices {
    GuestIndices(
      requestProducer: page.load32(at: XenStoreInterfaceLayout.requestProducerOffset),
      responseConsumer: page.load32(at: XenStoreInterfaceLayout.responseConsumerOffset))
  }

  public struct GuestIndices: Hashable, Sendable {
    public let requestProducer: UInt32
    public let responseConsumer: UInt32
  }

  /// The store's part of beginning again: empties both rings, then lets the guest go on. The ends made before are void.
  public func restart() {
    requests.initialize()
    responses.initialize()
    error = XenStoreRingError.none.rawValue
    // Last, and with release: a guest that sees it sees the empty rings.
    connection = .connected
  }
}
