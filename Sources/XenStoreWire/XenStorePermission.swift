public import XenInterface

/// One entry of a node's permission list: a domain and what it may do (`struct xs_permissions`, text form `n0`, `r1`, `w2`, `b3`).
///
/// In a list, the first entry names the owner, who may do everything, and its access is that of every domain the list does not name.
public struct XenStorePermission: Hashable, Sendable, CustomStringConvertible {
  /// What a domain may do with a node's value, children and permissions.
  public struct Access: OptionSet, Hashable, Sendable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let read = Access(rawValue: 1)
    public static let write = Access(rawValue: 2)
    public static let none: Access = []
    public static let readWrite: Access = [.read, .write]
  }

  public var domain: DomainID
  public var access: Access

  public init(_ domain: DomainID, _ access: Access) {
    self.domain = domain
    self.access = access
  }

  /// Reads the text form: one of `n`, `r`, `w`, `b` and a decimal domain number. Nil for anything else.
  public init?(text: some Collection<UInt8>) {
    switch text.first {
    case UInt8(ascii: "n"): access = .none
    case UInt8(ascii: "r"): access = .read
    case UInt8(ascii: "w"): access = .write
    case UInt8(ascii: "b"): access = .readWrite
    default: return nil
    }
    guard let number = XenStorePayload.number(ArraySlice(text.dropFirst()), as: UInt16.self) else { return nil }
    domain = DomainID(rawValue: number)
  }

  /// The text form, for example `n0`.
  public var description: String {
    let letter =
      switch access {
      case .readWrite: "b"
      case .read: "r"
      case .write: "w"
      default: "n"
      }
    return letter + String(domain.rawValue)
  }
}

extension [XenStorePermission] {
  /// Reads a list of text forms, each with its NUL. Nil when one is malformed or the list is empty.
  public init?(payload: [UInt8]) {
    guard let strings = XenStorePayload.strings(payload), !strings.isEmpty else { return nil }
    self.init()
    for string in strings {
      guard let permission = XenStorePermission(text: string) else { return nil }
      append(permission)
    }
  }

  /// The list as it travels in GET_PERMS replies: each text form with its NUL.
  public var payload: [UInt8] { XenStorePayload.join(map(\.description)) }
}
