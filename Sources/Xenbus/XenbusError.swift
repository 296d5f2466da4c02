/// Why an end of a device cannot go on.
public enum XenbusError: Error, Sendable, Equatable {
  /// There is no such device: the directory has no `state` key.
  case deviceMissing(side: XenbusSide, directory: String)
  /// Toolstack key that names the peer is missing or malformed.
  case peerUnknown(side: XenbusSide, directory: String, key: String, value: String?)
  /// The directory holds more nodes than a device needs (`limit`).
  case directoryTooLarge(side: XenbusSide, directory: String, limit: Int)
  /// The back-end's driver cannot change keys while connected.
  case reconfigurationUnsupported(String)
  /// The store's connection ended.
  case storeLost(String)
  /// A second device with the same directories exists.
  case deviceExists(String)
  /// The device could not be offered at all.
  case advertiseFailed(directory: String, reason: String)
}

extension XenbusError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .deviceMissing(let side, let directory): "there is no \(side.rawValue) device at \(directory): attach it first"
    case .peerUnknown(let side, let directory, let key, let value):
      "the \(side.rawValue)'s directory \(directory) does not say where its peer is: "
        + "'\(key)' is \(value.map { "'\($0)'" } ?? "missing")"
    case .directoryTooLarge(let side, let directory, let limit):
      "the \(side.rawValue)'s directory \(directory) has more than \(limit) nodes"
    case .reconfigurationUnsupported(let directory): "\(directory) asks to reconfigure, which this driver does not support"
    case .storeLost(let path): "the store ended the watch on \(path): is the daemon running?"
    case .deviceExists(let directory): "there is a device at \(directory) already: detach it first or choose another number"
    case .advertiseFailed(let directory, let reason): "\(directory) cannot be offered: \(reason)"
    }
  }
}
