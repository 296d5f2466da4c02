/// One key of a device in the store: its name, who writes it, and how its value is read and written.
///
/// All keys are constants generated from `Protocols/`, so that no driver spells a name or a rule by hand.
///
/// ```swift
/// let order = try BlkifKeys.Frontend.ringPageOrder.value(of: texts["ring-page-order"])   // 0 when absent
/// let text = BlkifKeys.Backend.sectorCount.format(2048)                                  // "2048"
/// ```
public struct StoreKey<Value: StoreValue>: Sendable {
  /// Name below the device directory, for example `ring-page-order` or `queue-0/ring-ref`.
  public let name: String
  /// Who writes the key; everybody else reads it.
  public let writer: StoreKeyWriter
  /// What an absent key means; nil when the key must be there.
  public let defaultValue: Value?
  /// Numbers that the key can have; nil when the type says it all.
  public let range: ClosedRange<UInt64>?
  /// Whether the key is repeated in `queue-N/` directories when there are several queues.
  public let isPerQueue: Bool

  public init(
    _ name: String, writer: StoreKeyWriter, default defaultValue: Value? = nil, range: ClosedRange<UInt64>? = nil,
    perQueue isPerQueue: Bool = false
  ) {
    self.name = name
    self.writer = writer
    self.defaultValue = defaultValue
    self.range = range
    self.isPerQueue = isPerQueue
  }

  /// The key of queue `index`, in that queue's directory.
  ///
  /// - Precondition: the key is per queue, and not in a queue's directory already.
  public func inQueue(_ index: Int) -> StoreKey {
    precondition(isPerQueue, "key \(name) is not per queue")
    return StoreKey("queue-\(index)/\(name)", writer: writer, default: defaultValue, range: range)
  }

  /// The value that `text` stands for. The text may come from a peer: nothing about it is taken for granted.
  ///
  /// - Throws: `StoreKeyError` when the text is malformed or out of range.
  public func parse(_ text: String) throws(StoreKeyError) -> Value {
    guard let value = Value(storeText: text) else { throw StoreKeyError(key: name, value: text, expected: expectation) }
    if let range, let number = value.storeNumber, !range.contains(number) {
      throw StoreKeyError(key: name, value: text, expected: expectation)
    }
    return value
  }

  /// The value that the bytes of a store node stand for.
  ///
  /// - Throws: `StoreKeyError` when the bytes are not UTF-8, malformed or out of range.
  public func parse(_ bytes: [UInt8]) throws(StoreKeyError) -> Value {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw StoreKeyError(key: name, value: "bytes that are not UTF-8", expected: expectation)
    }
    return try parse(text)
  }

  /// The value of a key that may be absent (`nil`): then its default, if it has one.
  ///
  /// - Throws: `StoreKeyError` as `parse`, and when the key is absent and has no default.
  public func value(of text: String?) throws(StoreKeyError) -> Value {
    if let text { return try parse(text) }
    guard let defaultValue else { throw StoreKeyError(key: name, value: nil, expected: expectation) }
    return defaultValue
  }

  /// The text to write for `value`.
  ///
  /// - Precondition: the value is in range; writing another one would be our own mistake.
  public func format(_ value: Value) -> String {
    if let range, let number = value.storeNumber {
      precondition(range.contains(number), "\(name) = \(number) is outside \(range.lowerBound) to \(range.upperBound)")
    }
    return value.storeText
  }

  /// What a value looks like, for messages.
  public var expectation: String {
    guard let range else { return Value.storeExpectation }
    return "a decimal number from \(range.lowerBound) to \(range.upperBound)"
  }
}

/// A family of keys that differ in an index, for example `ring-ref0`, `ring-ref1`.
public struct IndexedStoreKey<Value: StoreValue>: Sendable {
  /// Name with `%u` in place of the index.
  public let pattern: String
  private let template: StoreKey<Value>

  public init(
    pattern: String, writer: StoreKeyWriter, default defaultValue: Value? = nil, range: ClosedRange<UInt64>? = nil,
    perQueue isPerQueue: Bool = false
  ) {
    self.pattern = pattern
    template = StoreKey(pattern, writer: writer, default: defaultValue, range: range, perQueue: isPerQueue)
  }

  /// The key with `index`, counted from 0.
  public subscript(index: Int) -> StoreKey<Value> {
    StoreKey(
      pattern.replacing("%u", with: String(index)), writer: template.writer, default: template.defaultValue, range: template.range,
      perQueue: template.isPerQueue)
  }
}

/// Who writes a key.
public enum StoreKeyWriter: String, Hashable, Sendable {
  case frontend, backend
  /// Who creates the device.
  case toolstack
  /// The script or program that sets up what backs the device.
  case hotplug
}

/// A key whose value is not what its protocol says: which one, what it is, and what it should be.
public struct StoreKeyError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Name of the key below the device directory.
  public let key: String
  /// The offending text; nil when the key is absent.
  public let value: String?
  /// What was expected, for example `0 or 1`.
  public let expected: String

  public init(key: String, value: String?, expected: String) {
    self.key = key
    self.value = value
    self.expected = expected
  }

  /// One line; a long or strange value is shortened and escaped, because a peer may have written it.
  public var description: String {
    guard let value else { return "\(key) is missing, expected \(expected)" }
    let shown = value.unicodeScalars.prefix(64).map { $0.escaped(asASCII: true) }.joined()
    return "\(key) is '\(shown)\(value.unicodeScalars.count > 64 ? "…" : "")', expected \(expected)"
  }
}
