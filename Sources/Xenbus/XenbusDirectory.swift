public import XenInterface

/// One directory of a device, read once in a transaction: decisions are made on this copy, never on a second read.
///
/// Keys are relative to ``path``, with `/` between levels: `sectors`, `queue-0/ring-ref`. The getters are strict:
/// what they return has the type and range asked for, and what they throw names side, path, value and expectation.
///
/// ```swift
/// let queues = try frontend.value(BlkifKeys.Frontend.queueCount)       // default when absent
/// let ring = try frontend.value(BlkifKeys.Frontend.ringReference.inQueue(0))
/// ```
public struct XenbusDirectory: Sendable, Equatable {
  /// The end that owns (and writes) the directory.
  public let side: XenbusSide
  /// Full path of the directory.
  public let path: String
  /// The domain that owns the directory.
  public let domain: DomainID
  /// Every node below the directory with its value.
  public let values: [String: String]

  public init(side: XenbusSide, path: String, domain: DomainID, values: [String: String]) {
    self.side = side
    self.path = path
    self.domain = domain
    self.values = values
  }

  /// The value as it stands in the store; nil when the key is missing.
  public subscript(_ key: String) -> String? { values[key] }

  /// Whether the directory has the key, whatever its value.
  public func contains<Value>(_ key: StoreKey<Value>) -> Bool { values[key.name] != nil }

  /// The `state` key.
  public var state: XenbusState { XenbusState(storeValue: values["state"]) }

  /// The value of a key of a protocol; its default when it is absent and has one.
  /// - Throws: ``XenbusKeyError`` when it is malformed, out of range, or absent without a default.
  public func value<Value>(_ key: StoreKey<Value>) throws(XenbusKeyError) -> Value {
    do {
      return try key.value(of: values[key.name])
    } catch {
      throw self.error(error.key, expected: error.expected)
    }
  }

  /// The value of a key of a protocol; nil when it is absent (even if it has a default).
  /// - Throws: ``XenbusKeyError`` when it is malformed or out of range.
  public func valueIfPresent<Value>(_ key: StoreKey<Value>) throws(XenbusKeyError) -> Value? {
    values[key.name] == nil ? nil : try value(key)
  }

  /// Names of the nodes directly below the directory (or below `prefix`), sorted.
  public func children(of prefix: String = "") -> [String] {
    let start = prefix.isEmpty ? "" : prefix + "/"
    let names = values.keys.lazy.filter { $0.hasPrefix(start) }.compactMap { key in
      key.dropFirst(start.count).split(separator: "/").first.map(String.init)
    }
    return Set(names).sorted()
  }

  /// The error for a key that a driver finds wrong by a rule of its own.
  public func error(_ key: String, expected expectation: String) -> XenbusKeyError {
    XenbusKeyError(side: side, path: path + "/" + key, value: values[key], expectation: expectation)
  }
}
