public import SharedMemory
public import SharedRing
public import SystemPackage
public import XenInterface
public import XenPlatform

/// A byte stream that both ends can use: its rings, its event channel, and what keeps the memory there. Belongs to one loop.
public final class ByteStreamConnection {
  /// In a cell, so that an access is not checked for overlapping others.
  public let cell: FixedCell<ByteStreamPair>
  public let channel: EventChannel
  private var memory: (any ByteStreamMemory)?

  public init(_ pair: ByteStreamPair, channel: EventChannel, memory: any ByteStreamMemory) {
    cell = FixedCell(pair)
    self.channel = channel
    self.memory = memory
  }

  /// Gives the memory back; the rings must not be touched afterwards. Returns how many pages the peer still has mapped.
  func release() -> Int { memory.take()?.release() ?? 0 }
}

/// What a byte stream's rings lie in: pages that the peer granted, or that were granted to it.
public protocol ByteStreamMemory: AnyObject {
  /// Gives all of it back; called once. Returns how many pages the peer still has mapped.
  func release() -> Int
}

/// Pages of the peer's that are mapped here: the back-end's side, and the client's.
public final class MappedStreamMemory: ByteStreamMemory {
  private var mappings: [Mapping] = []

  private final class Mapping {
    private let mapping: GrantMapping
    init(_ mapping: consuming GrantMapping) { self.mapping = consume mapping }
  }

  public init() {}

  /// Keeps pages mapped until ``release()``, and returns their bytes.
  public func keep(_ mapping: consuming GrantMapping) -> SharedBytes {
    let bytes = mapping.bytes
    mappings.append(Mapping(consume mapping))
    return bytes
  }

  public func release() -> Int {
    mappings = []
    return 0
  }
}

/// Pages that were granted to the peer, side by side: the front-end's side, and the server's.
public final class GrantedStreamMemory: ByteStreamMemory {
  private let arena: GrantArena
  private let firstPage: Int
  /// In the order of the pages.
  public let references: [GrantReference]

  /// Takes `count` pages of `arena`, which has so many side by side, and grants them.
  public init(_ arena: GrantArena, pageCount count: Int) {
    guard let first = arena.allocatePages(contiguous: count) else { preconditionFailure("an arena with too few pages") }
    self.arena = arena
    firstPage = first
    references = (first..<first + count).map { arena.grant(page: $0) }
  }

  /// The first page, which holds the indices.
  public var page: SharedBytes { arena.bytes.slice(at: firstPage * pageByteCount, byteCount: pageByteCount) }
  /// The pages behind it.
  public var data: SharedBytes {
    arena.bytes.slice(at: (firstPage + 1) * pageByteCount, byteCount: (references.count - 1) * pageByteCount)
  }

  /// Has the peer told when the first page goes, where nothing else tells it; see ``GrantArena/tellOfEnd(_:)``.
  public func tellOfEnd(_ notice: UnmapNotice) throws(Errno) { try arena.tellOfEnd(notice) }

  public func release() -> Int {
    (firstPage..<firstPage + references.count).count { !arena.endAccess(page: $0) }
  }
}

/// Why a byte stream could not be taken up.
public enum ByteStreamConnectError: BackConnectError, Sendable, Equatable, CustomStringConvertible {
  case pageNotMapped(stream: Int, GrantError)
  /// What stands in the page that describes the stream cannot be: which field, what it is, and what it should be.
  case badPage(stream: Int, field: String, value: UInt32, expected: String)
  case platform(PlatformError)
  case alreadyConnected

  public var description: String {
    switch self {
    case .pageNotMapped(let stream, let error): "a page of stream \(stream) cannot be mapped: \(error)"
    case .badPage(let stream, let field, let value, let expected): "\(field) of stream \(stream) is \(value), expected \(expected)"
    case .platform(let error): error.description
    case .alreadyConnected: "a peer is connected already"
    }
  }
}
