public import XenInterface

/// Keys that are described under `Protocols/`: their names and the form of their values are not spelled by hand.
extension XenStoreAccess {
  /// The value of `key` in `directory`, or its default when it is absent.
  ///
  /// Throws ``XenStoreClientError/unexpectedValue(path:_:)`` when it is malformed, out of range, or absent without a default.
  public func read<Value>(_ key: StoreKey<Value>, in directory: some XenStoreLocation) async throws(XenStoreClientError) -> Value {
    let path = "\(directory.storePath)/\(key.name)"
    let text = try await readIfPresent(path)
    do throws(StoreKeyError) {
      return try key.value(of: text)
    } catch {
      throw .unexpectedValue(path: path, error)
    }
  }

  /// Sets `key` in `directory`.
  ///
  /// - Precondition: the value is in the key's range.
  public func write<Value>(_ key: StoreKey<Value>, _ value: Value, in directory: some XenStoreLocation) async throws(XenStoreClientError) {
    try await write("\(directory.storePath)/\(key.name)", key.format(value))
  }
}
