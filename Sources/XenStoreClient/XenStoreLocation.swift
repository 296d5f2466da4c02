public import XenStoreWire

/// What names a node: text, absolute or relative to the connection's domain, or a checked ``XenStorePath``.
public protocol XenStoreLocation: Sendable {
  /// The path as it is sent.
  var storePath: String { get }
}

extension String: XenStoreLocation {
  public var storePath: String { self }
}

extension XenStorePath: XenStoreLocation {
  public var storePath: String { text }
}
