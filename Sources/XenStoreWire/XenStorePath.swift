public import XenInterface

/// An absolute, well-formed path of the store: `/`, or names of `[A-Za-z0-9-_@]` each behind one `/`, at most
/// ``XenStoreProtocol/maximumPathByteCount`` bytes after a leading `/local/domain/N/`.
public struct XenStorePath: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The path's bytes, always ASCII and canonical: two paths are the same node exactly when their bytes are equal.
  public let bytes: [UInt8]

  /// The top of the tree.
  public static let root = XenStorePath(canonical: [XenStorePath.slash])

  private static let slash = UInt8(ascii: "/")
  private static let homePrefix = Array("/local/domain/".utf8)

  private init(canonical bytes: [UInt8]) { self.bytes = bytes }

  /// Checks an absolute path. Throws ``XenStoreError/invalidArgument`` when it is relative, malformed or too long.
  public init(_ text: String) throws(XenStoreError) { try self.init(checking: Array(text.utf8)) }

  /// Checks a path as it came in a request; one without a leading `/` is taken relative to `home`.
  /// Throws ``XenStoreError/invalidArgument`` when it is malformed or too long.
  public init(_ bytes: ArraySlice<UInt8>, relativeTo home: DomainID) throws(XenStoreError) {
    if bytes.first == XenStorePath.slash {
      try self.init(checking: Array(bytes))
    } else {
      try self.init(checking: XenStorePath.home(of: home).bytes + [XenStorePath.slash] + bytes)
    }
  }

  private init(checking bytes: [UInt8]) throws(XenStoreError) {
    guard bytes.first == XenStorePath.slash,
      bytes.count <= XenStoreProtocol.maximumPathByteCount
        || bytes.count <= XenStoreProtocol.maximumPathByteCount + XenStorePath.domainPrefixByteCount(bytes)
    else { throw .invalidArgument }
    var previousIsSlash = false
    let span = bytes.span
    for index in span.indices {
      let byte = span[index]
      let isSlash = byte == XenStorePath.slash
      guard XenStorePath.isAllowed(byte), !(isSlash && previousIsSlash) else { throw .invalidArgument }
      previousIsSlash = isSlash
    }
    guard !previousIsSlash || bytes.count == 1 else { throw .invalidArgument }
    self.bytes = bytes
  }

  /// A domain's home, against which its relative paths are resolved (`/local/domain/N`).
  public static func home(of domain: DomainID) -> XenStorePath {
    XenStorePath(canonical: homePrefix + String(domain.rawValue).utf8)
  }

  /// The path as text.
  public var text: String { String(decoding: bytes, as: UTF8.self) }
  public var description: String { text }

  public var isRoot: Bool { bytes.count == 1 }

  /// The node that has this one as a child; nil for the root.
  public var parent: XenStorePath? {
    guard !isRoot, let slash = bytes.lastIndex(of: XenStorePath.slash) else { return nil }
    return slash == 0 ? .root : XenStorePath(canonical: Array(bytes[..<slash]))
  }

  /// The last name; nil for the root.
  public var lastName: XenStoreName? {
    guard !isRoot, let slash = bytes.lastIndex(of: XenStorePath.slash) else { return nil }
    return XenStoreName(validBytes: bytes.span, in: (slash + 1)..<bytes.count)
  }

  /// The path of a child. Throws ``XenStoreError/invalidArgument`` when `name` is not one name or the path grows too long.
  public func appending(_ name: some StringProtocol) throws(XenStoreError) -> XenStorePath {
    guard !name.isEmpty, !name.utf8.contains(XenStorePath.slash) else { throw .invalidArgument }
    return try XenStorePath(checking: (isRoot ? [] : bytes) + [XenStorePath.slash] + name.utf8)
  }

  /// The path of a child whose name was taken from another path.
  /// Its length is not checked again: a tree holds no path that was not checked.
  public func appending(_ name: XenStoreName) -> XenStorePath {
    var bytes = isRoot ? [] : bytes
    bytes.append(XenStorePath.slash)
    name.append(to: &bytes)
    return XenStorePath(canonical: bytes)
  }

  /// The path of the first `count` names; of all of them when there are fewer.
  public func prefix(nameCount count: Int) -> XenStorePath {
    var names = names
    for _ in 0..<count where names.next() == nil { return self }
    return names.position <= 1 ? .root : XenStorePath(canonical: Array(bytes[..<(names.position - 1)]))
  }

  /// Whether `other` is this path or below it.
  public func contains(_ other: XenStorePath) -> Bool {
    if isRoot { return true }
    guard other.bytes.count > bytes.count else { return other == self }
    return other.bytes[bytes.count] == XenStorePath.slash && other.bytes.starts(with: bytes)
  }

  /// This path without the leading `home` and its slash: how an event for a relative watch reports it. Nil when it is not below `home`.
  public func relative(to home: XenStorePath) -> ArraySlice<UInt8>? {
    guard home != self, home.contains(self) else { return nil }
    return bytes.dropFirst(home.isRoot ? 1 : home.bytes.count + 1)
  }

  /// Bytes that count against a limit on the length of paths: those behind a leading `/local/domain/N/`.
  public var limitedByteCount: Int { bytes.count - XenStorePath.domainPrefixByteCount(bytes) }

  /// The names from the top down; only names of more than 16 bytes need memory.
  public var names: Names { Names(bytes: bytes) }

  /// Hands the names to `body` from the top down, until it says no. As ``names``, without counting references for each.
  @inlinable @inline(__always) public func forEachName(_ body: (XenStoreName) -> Bool) {
    let bytes = bytes.span
    var position = 1
    while position < bytes.count {
      var end = position
      while end < bytes.count, bytes[end] != UInt8(ascii: "/") { end += 1 }
      guard body(XenStoreName(validBytes: bytes, in: position..<end)) else { return }
      position = end + 1
    }
  }

  /// How many names the path has; zero for the root.
  public var depth: Int { isRoot ? 0 : bytes.count { $0 == XenStorePath.slash } }

  /// Iterates over a path's names from the top down.
  public struct Names: Sequence, IteratorProtocol, Sendable {
    private let bytes: [UInt8]
    /// Where the next name begins.
    fileprivate var position = 1

    fileprivate init(bytes: [UInt8]) { self.bytes = bytes }

    public mutating func next() -> XenStoreName? {
      let bytes = bytes
      let span = bytes.span
      guard position < span.count else { return nil }
      var end = position
      while end < span.count, span[end] != UInt8(ascii: "/") { end += 1 }
      let name = XenStoreName(validBytes: span, in: position..<end)
      position = end + 1
      return name
    }
  }

  /// Orders a node before everything below it.
  public static func < (left: XenStorePath, right: XenStorePath) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }

  /// Letters, digits, `-`, `/`, `_` and `@`: one bit for each byte below 64, and for each of the next 64. Literals, which nothing has to
  /// make first.
  private static func isAllowed(_ byte: UInt8) -> Bool {
    if byte < 64 { return (0x03FF_A000_0000_0000 as UInt64) &>> UInt64(byte) & 1 == 1 }
    return byte < 128 && (0x07FF_FFFE_87FF_FFFF as UInt64) &>> UInt64(byte &- 64) & 1 == 1
  }

  /// Bytes of a leading `/local/domain/N/`, which do not count against the length limit; zero when there is none.
  private static func domainPrefixByteCount(_ bytes: [UInt8]) -> Int {
    guard bytes.starts(with: homePrefix) else { return 0 }
    let digits = bytes.dropFirst(homePrefix.count).prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    guard (1...5).contains(digits.count), digits.endIndex < bytes.endIndex, bytes[digits.endIndex] == slash else { return 0 }
    return homePrefix.count + digits.count + 1
  }
}
