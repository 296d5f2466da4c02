public import PVDriver

/// What a user asked for of a device whose driver says by itself what it takes: `key=value,key=value`, and `id=NAME` for all.
///
/// The driver's own keys are checked by its back-end, which knows them; ``subscript(_:)`` is how it asks.
public struct DriverSpec: AttachableSpec {
  public let kind: DeviceKind
  public let id: String?
  public let text: String
  public var option: String { "spec" }
  private let values: [String: String]

  /// Key of the back-end's directory with the text, so that the back-end can be started again with the same.
  public static let textKey = "params"

  /// Throws a usage failure for what is no list of keys and values. An empty text asks for nothing special.
  public init(_ text: String, kind: DeviceKind) throws {
    self.kind = kind
    self.text = text
    var values: [String: String] = [:]
    for part in text.split(separator: ",") {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2, !pair[0].isEmpty else { throw CommandFailure.usage("\(kind.name) \(text): expected KEY=VALUE[,KEY=VALUE]...") }
      guard values.updateValue(String(pair[1]), forKey: String(pair[0])) == nil else {
        throw CommandFailure.usage("\(kind.name) \(text): key '\(pair[0])' is given twice")
      }
    }
    let id = values.removeValue(forKey: "id")
    if let id, id.isEmpty || id.hasPrefix(".") || !id.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }) {
      throw CommandFailure.usage("\(kind.name) \(text): 'id=\(id)' is wrong; expected letters, digits, '-', '_' and '.'")
    }
    self.id = id
    self.values = values
  }

  /// What was given for `key`; nil when nothing was.
  public subscript(_ key: String) -> String? { values[key] }

  /// The keys that were given, without `id`, sorted: for a driver to refuse those that it does not know.
  public var keys: [String] { values.keys.sorted() }

  /// The driver's own keys and values.
  public var options: [String: String] { values }

  /// Throws a usage failure that names the first key that is none of `known`.
  public func expectKeys(_ known: [String]) throws {
    guard let unknown = keys.first(where: { !known.contains($0) }) else { return }
    let expected = known.isEmpty ? "none but id" : known.joined(separator: ", ") + " or id"
    throw CommandFailure.usage("\(kind.name) \(text): unknown key '\(unknown)'; expected \(expected)")
  }

  public func keys(of address: DeviceAddress) -> (frontend: [String: String]?, backend: [String: String]) {
    ([:], ["handle": "\(address.device.number)", Self.textKey: text])
  }
}
