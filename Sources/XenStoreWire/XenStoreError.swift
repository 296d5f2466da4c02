public import XenInterface

/// Why the daemon refused a request: the errno names that travel in ``XenInterface/XenStoreMessageType/error`` replies.
public typealias XenStoreError = XenStoreErrorName

extension XenStoreErrorName: Error {}

extension XenStoreErrorName {
  /// The name on the wire, for example `ENOENT`.
  public var errnoName: String { rawValue }

  /// Reads an error reply's payload: the name and its NUL. Nil for a name that xs_wire does not have.
  public init?(payload: [UInt8]) {
    guard let name = XenStorePayload.onlyString(payload) else { return nil }
    self.init(rawValue: String(decoding: name, as: UTF8.self))
  }

  /// The payload of an error reply.
  public var payload: [UInt8] { Array(rawValue.utf8) + [0] }
}
