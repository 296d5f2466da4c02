extension XenbusState: StoreValue {
  public static var storeExpectation: String { "a state from 0 to 8" }

  /// The state that a `state` node stands for: whatever is missing, unreadable or no state is `unknown`, which means that the
  /// end is gone. A peer must not be able to stop us with a strange state.
  public init(storeValue: String?) {
    self = storeValue.flatMap(XenbusState.init(storeText:)) ?? .unknown
  }

  /// As `init(storeValue:)`, for the bytes of a node.
  public init(storeValue: [UInt8]?) {
    self.init(storeValue: storeValue.flatMap { String(validating: $0, as: UTF8.self) })
  }
}

extension XenbusState: CustomStringConvertible {
  /// The state's name and number, for example `connected (4)`.
  public var description: String {
    let name =
      switch self {
      case .unknown: "unknown"
      case .initialising: "initialising"
      case .initWait: "initWait"
      case .initialised: "initialised"
      case .connected: "connected"
      case .closing: "closing"
      case .closed: "closed"
      case .reconfiguring: "reconfiguring"
      case .reconfigured: "reconfigured"
      }
    return "\(name) (\(rawValue))"
  }
}
