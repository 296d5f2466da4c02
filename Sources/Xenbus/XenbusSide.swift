/// Which end of a device a directory, an error or a status belongs to.
public enum XenbusSide: String, Sendable, CaseIterable {
  case frontend = "front-end"
  case backend = "back-end"

  /// The other end.
  public var peer: XenbusSide {
    switch self {
    case .frontend: .backend
    case .backend: .frontend
    }
  }
}
