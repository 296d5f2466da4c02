import Foundation

/// Prints a value as JSON, the same bytes for the same value.
public func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  print(String(decoding: try encoder.encode(value), as: UTF8.self))
}

/// Replaces the file at `path` by the value as JSON, in one step: a reader sees the old file or the new one.
public func writeJSON(_ value: some Encodable, to path: String) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  try encoder.encode(value).write(to: URL(fileURLWithPath: path), options: .atomic)
}

/// The value in the JSON file at `path`, or nil when there is none or it is of another form.
public func readJSON<Value: Decodable>(_ type: Value.Type, from path: String) -> Value? {
  guard let bytes = try? Data(contentsOf: URL(fileURLWithPath: path)) else { return nil }
  return try? JSONDecoder().decode(type, from: bytes)
}
