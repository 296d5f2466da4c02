/// Why the daemon refused a request: the errno names that travel in ``XenStoreMessageType/error`` replies (`xsd_errors` in `xs_wire.h`).
public enum XenStoreError: String, Error, Sendable, CaseIterable, CustomStringConvertible {
  case invalidArgument = "EINVAL"
  case accessDenied = "EACCES"
  case alreadyExists = "EEXIST"
  case isDirectory = "EISDIR"
  case notFound = "ENOENT"
  case outOfMemory = "ENOMEM"
  case noSpace = "ENOSPC"
  case inputOutput = "EIO"
  case notEmpty = "ENOTEMPTY"
  case notImplemented = "ENOSYS"
  case readOnly = "EROFS"
  case busy = "EBUSY"
  case tryAgain = "EAGAIN"
  case isConnected = "EISCONN"
  case tooBig = "E2BIG"
  case notPermitted = "EPERM"

  /// The name on the wire, for example `ENOENT`.
  public var errnoName: String { rawValue }
  public var description: String { rawValue }

  /// Reads an error reply's payload: the name and its NUL. Nil for a name that xs_wire does not have.
  public init?(payload: [UInt8]) {
    guard let name = XenStorePayload.onlyString(payload) else { return nil }
    self.init(rawValue: String(decoding: name, as: UTF8.self))
  }

  /// The payload of an error reply.
  public var payload: [UInt8] { Array(rawValue.utf8) + [0] }
}
