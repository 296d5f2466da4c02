public import XenInterface

/// An absolute, well-formed path of the store: `/`, or names of `[A-Za-z0-9-_@]` each behind one `/`, at most
/// ``XenStoreProtocol/maximumPathByteCount`` bytes after a leading `/local/domain/N/`.
public struct XenStorePath: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The path's text, always ASCII and canonical: two paths are the same node exactly when their texts are equal.
  public let text: String

  /// The top of the tree.
  public static let root = XenStorePath(canonical: "/")

  private init(canonical text: String) { self.text = text }

  /// Checks an absolute path. Throws ``XenStoreError/invalidArgument`` when it is relative, malformed or too long.
  public init(_ text: String) throws(XenStoreError) {
    try self.init(bytes: Array(text.utf8)[...])
  }

  /// Checks a path as it came in a request; one without a leading `/` is taken relative to `home`.
  /// Throws ``XenStoreError/invalidArgument`` when it is malformed or too long.
  public init(_ bytes: ArraySlice<UInt8>, relativeTo home: DomainID) throws(XenStoreError) {
    if bytes.first == UInt8(ascii: "/") {
      try self.init(bytes: bytes)
    } else {
      try self.init(bytes: ArraySlice(Array(XenStorePath.home(of: home).text.utf8) + [UInt8(ascii: "/")] + bytes))
    }
  }

  private init(bytes: ArraySlice<UInt8>) throws(XenStoreError) {
    guard bytes.first == UInt8(ascii: "/") else { throw .invalidArgument }
    guard bytes.count <= XenStoreProtocol.maximumPathByteCount + XenStorePath.domainPrefixByteCount(bytes) else { throw .invalidArgument }
    var previousIsSlash = false
    for byte in bytes {
      let isSlash = byte == UInt8(ascii: "/")
      guard XenStorePath.isAllowed(byte), !(isSlash && previousIsSlash) else { throw .invalidArgument }
      previousIsSlash = isSlash
    }
    guard !previousIsSlash || bytes.count == 1 else { throw .invalidArgument }
    text = String(decoding: bytes, as: UTF8.self)
  }

  /// A domain's home, against which its relative paths are resolved (`/local/domain/N`).
  public static func home(of domain: DomainID) -> XenStorePath {
    XenStorePath(canonical: "/local/domain/\(domain.rawValue)")
  }

  public var isRoot: Bool { text.utf8.count == 1 }

  /// The node that has this one as a child; nil for the root.
  public var parent: XenStorePath? {
    guard !isRoot, let slash = text.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
    return slash == text.startIndex ? .root : XenStorePath(canonical: String(text[..<slash]))
  }

  /// The last name; empty for the root.
  public var lastName: Substring {
    guard let slash = text.utf8.lastIndex(of: UInt8(ascii: "/")) else { return text[...] }
    return text[text.utf8.index(after: slash)...]
  }

  /// The path of a child. Throws ``XenStoreError/invalidArgument`` when `name` is not one name or the path grows too long.
  public func appending(_ name: some StringProtocol) throws(XenStoreError) -> XenStorePath {
    guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")) else { throw .invalidArgument }
    return try XenStorePath(isRoot ? "/" + name : text + "/" + name)
  }

  /// The path of a child whose name is known to be valid, because it was taken from another path.
  /// Its length is not checked again: a tree holds no path that was not checked.
  public func appending(validName name: some StringProtocol) -> XenStorePath {
    XenStorePath(canonical: isRoot ? "/" + name : text + "/" + name)
  }

  /// This path up to and including `name`, which must be one of its own ``names``.
  public func prefix(through name: Substring) -> XenStorePath { XenStorePath(canonical: String(text[..<name.endIndex])) }

  /// Whether `other` is this path or below it.
  public func contains(_ other: XenStorePath) -> Bool {
    if isRoot { return true }
    guard other.text.utf8.count > text.utf8.count else { return other.text == text }
    let end = other.text.utf8.index(other.text.startIndex, offsetBy: text.utf8.count)
    return other.text.utf8[end] == UInt8(ascii: "/") && other.text[..<end] == text
  }

  /// This path without the leading `home` and its slash: how an event for a relative watch reports it. Nil when it is not below `home`.
  public func relative(to home: XenStorePath) -> Substring? {
    guard home != self, home.contains(self) else { return nil }
    return text.utf8.dropFirst(home.isRoot ? 1 : home.text.utf8.count + 1).asSubstring
  }

  /// The names from the top down, without allocation.
  public var names: Names { Names(rest: text.utf8.dropFirst()) }

  /// How many names the path has; zero for the root.
  public var depth: Int { isRoot ? 0 : text.utf8.count { $0 == UInt8(ascii: "/") } }

  /// Iterates over a path's names from the top down.
  public struct Names: Sequence, IteratorProtocol, Sendable {
    fileprivate var rest: Substring.UTF8View

    public mutating func next() -> Substring? {
      guard !rest.isEmpty else { return nil }
      guard let slash = rest.firstIndex(of: UInt8(ascii: "/")) else {
        defer { rest = rest[rest.endIndex...] }
        return rest.asSubstring
      }
      defer { rest = rest[rest.index(after: slash)...] }
      return rest[..<slash].asSubstring
    }
  }

  /// Orders a node before everything below it.
  public static func < (left: XenStorePath, right: XenStorePath) -> Bool { left.text < right.text }
  public var description: String { text }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "/"), UInt8(ascii: "_"), UInt8(ascii: "@"):
      true
    default: false
    }
  }

  /// Bytes of a leading `/local/domain/N/`, which do not count against the length limit; zero when there is none.
  private static func domainPrefixByteCount(_ bytes: ArraySlice<UInt8>) -> Int {
    let prefix = "/local/domain/".utf8
    guard bytes.starts(with: prefix) else { return 0 }
    let digits = bytes.dropFirst(prefix.count).prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    guard (1...5).contains(digits.count), digits.endIndex < bytes.endIndex, bytes[digits.endIndex] == UInt8(ascii: "/") else { return 0 }
    return prefix.count + digits.count + 1
  }
}

extension Substring.UTF8View {
  fileprivate var asSubstring: Substring { Substring(self) }
}
