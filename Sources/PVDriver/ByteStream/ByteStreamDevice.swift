public import SharedRing
public import XenInterface
public import XenPlatform
public import Xenbus
public import SharedMemory

/// One stream as its keys in the store name it.
public struct PublishedByteStream: Sendable, Hashable {
  /// The page with the indices.
  public var reference: GrantReference
  /// The front-end's port.
  public var port: EventChannelPort

  public init(reference: GrantReference, port: EventChannelPort) {
    self.reference = reference
    self.port = port
  }
}

/// What a back-end of one kind of device has to say of its byte streams: ``ByteStreamBackendDriver`` does everything else.
public protocol ByteStreamBackendDevice: Sendable {
  /// What is offered, written with state InitWait.
  var advertisement: [String: String] { get }

  /// The streams that a front-end has published; at most ``streamCount``.
  func streams(of frontend: XenbusDirectory) throws -> [PublishedByteStream]

  /// Most streams that are offered.
  var streamCount: Int { get }

  /// Maps what a stream needs besides its page, and says where everything lies. What stands in the page is the peer's word.
  /// - Parameter stream: the stream's number, for errors.
  func attach(
    page: SharedBytes, memory: MappedStreamMemory, grants: ForeignGrants, stream: Int
  ) throws(ByteStreamConnectError) -> ByteStreamPair
}

/// What a front-end of one kind of device has to say of its byte streams: ``ByteStreamFrontendDriver`` does everything else.
public protocol ByteStreamFrontendDevice: Sendable {
  /// How many streams to make, and of how many pages each is, the one with the indices included.
  func plan(for backend: XenbusDirectory) throws -> ByteStreamPlan

  /// Fills a new stream's page, zero so far, with everything that the back-end has to find there.
  func layOut(_ memory: GrantedStreamMemory) -> ByteStreamPair

  /// The keys that tell the back-end of the streams.
  func keys(_ streams: [PublishedByteStream]) -> [String: String]
}

/// How many streams a front-end makes.
public struct ByteStreamPlan: Sendable, Equatable {
  public var streamCount: Int
  /// Of each stream.
  public var pageCount: Int

  public init(streamCount: Int, pageCount: Int) {
    self.streamCount = streamCount
    self.pageCount = pageCount
  }
}
