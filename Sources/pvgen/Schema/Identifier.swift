/// Spelling of names in the languages we write.
enum Identifier {
  /// `grant_table` → `GrantTable`, `feature-barrier` → `FeatureBarrier`.
  static func upperCamel(_ name: String) -> String { words(name).map(capitalised).joined() }

  /// `feature-barrier` → `featureBarrier`.
  static func lowerCamel(_ name: String) -> String {
    let all = words(name)
    return (all.first ?? "") + all.dropFirst().map(capitalised).joined()
  }

  static func capitalised(_ word: String) -> String { word.prefix(1).uppercased() + word.dropFirst() }

  /// Whether `name` can be a Swift name: letters and digits, not starting with a digit.
  static func isSwiftName(_ name: String) -> Bool {
    guard let first = name.first, first.isASCII, first.isLetter else { return false }
    return name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
  }

  /// `name`, in backticks where the language reserves it.
  static func escaped(_ name: String) -> String { reserved.contains(name) ? "`\(name)`" : name }

  private static let reserved: Set<String> = ["none", "protocol", "default", "extension", "operator", "internal", "public", "self", "in", "is", "as"]

  private static func words(_ name: String) -> [String] {
    name.split { $0 == "-" || $0 == "_" || $0 == "/" || $0 == "%" }.map(String.init)
  }
}
