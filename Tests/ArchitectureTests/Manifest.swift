import Foundation

/// What `Package.swift` says of its targets, read from its text: the package manager cannot be asked from within a test run.
struct Manifest {
  struct Target: Sendable, CustomStringConvertible {
    enum Kind: Sendable { case library, command, systemLibrary, tests }
    let name: String
    let kind: Kind
    /// Names of targets and of products of other packages, as they are imported.
    let dependencies: [String]
    /// Folder of the sources, relative to the root.
    let path: String
    /// Built with the settings that every Swift target must have.
    let isStrict: Bool
    /// Made from a word of the list of drivers.
    var isDriver = false
    /// Belongs to the tests: is one, or supports them.
    var isForTests: Bool { kind == .tests || path.hasPrefix("Tests/") }
    var description: String { name }
  }

  /// In the order of the file.
  let targets: [Target]
  /// Modules of other packages.
  let products: Set<String>

  static let package: Manifest = {
    // An unreadable manifest has no targets, which tests find out.
    Manifest(text: (try? Repository.text(of: "Package.swift")) ?? "")
  }()

  init(text: String) {
    let tokens = Self.tokens(of: text)
    // let system: Target.Dependency = .product(name: "SystemPackage", …
    var products: [String: String] = [:]
    for index in tokens.indices where tokens[index] == .word(".product") && index >= 4 && index + 4 < tokens.count {
      guard case .word(let variable) = tokens[index - 4], case .text(let module) = tokens[index + 4] else { continue }
      products[variable] = module
    }
    var targets: [Target] = []
    let drivers = Self.drivers(tokens)
    for index in tokens.indices {
      if tokens[index] == .word("drivers.map"), index + 2 < tokens.count { targets += Self.expanded(tokens[index + 2], drivers, from: targets) }
      guard case .word(let word) = tokens[index], let kind = Self.kinds[word], index > 0, tokens[index - 1] != .word("func") else { continue }
      if let target = Self.target(kind, helper: word, Self.arguments(tokens, after: index), products, drivers) { targets.append(target) }
    }
    self.targets = targets.filter { !$0.name.contains("\\(") }
    self.products = Set(products.values)
  }

  private static let kinds: [String: Target.Kind] = [
    "layer": .library, ".target": .library, ".executableTarget": .command, ".systemLibrary": .systemLibrary, "tests": .tests,
    ".testTarget": .tests,
  ]

  /// The words of `let drivers = [ … ]`.
  private static func drivers(_ tokens: [Token]) -> [String] {
    guard let start = tokens.indices.first(where: { tokens[$0] == .word("drivers") && $0 > 0 && tokens[$0 - 1] == .word("let") }) else { return [] }
    return tokens[start...].prefix { $0 != .sign("]") }.compactMap { if case .text(let name) = $0 { name } else { nil } }
  }

  /// The targets that `drivers.map(helper)` makes: the helper's own declaration, with each driver's name in it.
  private static func expanded(_ helper: Token, _ drivers: [String], from targets: [Target]) -> [Target] {
    let kind: Target.Kind = helper == .word("driverTests") ? .tests : .library
    guard [.word("driver"), .word("driverTests")].contains(helper),
      let template = targets.first(where: { $0.name.contains("\\(") && $0.kind == kind })
    else { return [] }
    return drivers.map { name in
      func filled(_ text: String) -> String { text.replacing("\\(name)", with: name) }
      return Target(
        name: filled(template.name), kind: kind, dependencies: template.dependencies.map(filled), path: filled(template.path),
        isStrict: template.isStrict, isDriver: true)
    }
  }

  /// One declaration, or nil when it has no literal name: the helpers' own bodies.
  private static func target(_ kind: Target.Kind, helper: String, _ arguments: [Token], _ products: [String: String], _ drivers: [String]) -> Target? {
    let named = arguments.first == .word("name") ? arguments.dropFirst(2).first : arguments.first
    guard case .text(let name)? = named else { return nil }
    var dependencies: [String] = []
    if kind != .systemLibrary, let open = arguments.firstIndex(of: .sign("[")), let close = arguments[open...].firstIndex(of: .sign("]")) {
      for token in arguments[open..<close] {
        switch token {
        case .text(let target): dependencies.append(target)
        case .word(let variable): dependencies.append(products[variable] ?? variable)
        case .sign: break
        }
      }
    }
    if arguments.contains(.word("drivers.map")) { dependencies += drivers.map { $0 + "Driver" } }
    var path = (kind == .tests ? "Tests/" : "Sources/") + name
    if let label = arguments.firstIndex(of: .word("path")), case .text(let folder)? = arguments.dropFirst(label + 2).first { path = folder }
    let isStrict = helper == "layer" || helper == "tests" || arguments.contains(.word("strict"))
    return Target(name: name, kind: kind, dependencies: dependencies, path: path, isStrict: isStrict)
  }

  // MARK: - Text

  enum Token: Equatable { case word(String), text(String), sign(Character) }

  /// The tokens between the parenthesis after `index` and the one that closes it.
  private static func arguments(_ tokens: [Token], after index: Int) -> [Token] {
    guard index + 1 < tokens.count, tokens[index + 1] == .sign("(") else { return [] }
    var depth = 0
    for end in (index + 1)..<tokens.count {
      if tokens[end] == .sign("(") { depth += 1 }
      if tokens[end] == .sign(")") { depth -= 1 }
      if depth == 0 { return Array(tokens[(index + 2)..<end]) }
    }
    return []
  }

  /// Words (with the dots in them), texts in quotes, and single signs; comments are left out.
  private static func tokens(of text: String) -> [Token] {
    var tokens: [Token] = []
    var rest = text[...]
    while let character = rest.first {
      if rest.hasPrefix("//") {
        rest = rest.drop { $0 != "\n" }
      } else if character == "\"" {
        let content = rest.dropFirst().prefix { $0 != "\"" }
        tokens.append(.text(String(content)))
        rest = rest[content.endIndex...].dropFirst()
      } else if character.isLetter || character == "." || character == "_" {
        let word = rest.prefix { $0.isLetter || $0.isNumber || $0 == "." || $0 == "_" }
        tokens.append(.word(String(word)))
        rest = rest[word.endIndex...]
      } else {
        if !character.isWhitespace { tokens.append(.sign(character)) }
        rest = rest.dropFirst()
      }
    }
    return tokens
  }
}
