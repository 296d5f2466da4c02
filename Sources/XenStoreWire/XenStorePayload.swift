/// Splits and joins the NUL-terminated strings that payloads are made of.
public enum XenStorePayload {
  /// Each string followed by a NUL.
  public static func join(_ strings: [String]) -> [UInt8] {
    var output: [UInt8] = []
    for string in strings {
      output.append(contentsOf: string.utf8)
      output.append(0)
    }
    return output
  }

  /// A decimal number and its NUL.
  public static func decimal(_ number: UInt64) -> [UInt8] {
    var divisor: UInt64 = 1
    while number / divisor >= 10 { divisor *= 10 }
    var output: [UInt8] = []
    output.reserveCapacity(21)
    while divisor > 0 {
      output.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
      divisor /= 10
    }
    output.append(0)
    return output
  }

  /// The strings of a payload that ends with a NUL (an empty payload has none), or nil when the last NUL is missing.
  public static func strings(_ payload: [UInt8]) -> [ArraySlice<UInt8>]? {
    guard let last = payload.last else { return [] }
    guard last == 0 else { return nil }
    return payload.dropLast().split(separator: 0, omittingEmptySubsequences: false)
  }

  /// The only string of a payload: everything up to a NUL that must be the last byte. Nil otherwise.
  public static func onlyString(_ payload: [UInt8]) -> ArraySlice<UInt8>? {
    guard let end = payload.firstIndex(of: 0), end == payload.count - 1 else { return nil }
    return payload[..<end]
  }

  /// The string up to the first NUL and all bytes behind it, or nil without a NUL.
  public static func stringAndRest(_ payload: [UInt8]) -> (string: ArraySlice<UInt8>, rest: ArraySlice<UInt8>)? {
    guard let end = payload.firstIndex(of: 0) else { return nil }
    return (payload[..<end], payload[(end + 1)...])
  }

  /// A decimal number of digits only, or nil when it is empty, has another character or does not fit.
  public static func number<Value: FixedWidthInteger & UnsignedInteger>(_ bytes: ArraySlice<UInt8>, as type: Value.Type = Value.self) -> Value? {
    guard !bytes.isEmpty else { return nil }
    var value: Value = 0
    for byte in bytes {
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
      let (shifted, tooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, alsoTooLarge) = shifted.addingReportingOverflow(Value(byte - UInt8(ascii: "0")))
      guard !tooLarge, !alsoTooLarge else { return nil }
      value = sum
    }
    return value
  }
}
